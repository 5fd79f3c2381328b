//! One gateway of the cluster, and whether it can be talked to.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::epoll::Epoll;
use super::gateway_conn::{CLOSED, GatewayConn};
use super::unacked::UnfinishedCalls;
use crate::backoff::ReconnectBackoff;

/// How long calls wait for a gateway that is new, or whose connection was just lost.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that lasted so long was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(1);

pub(super) struct ClusterGateway {
    address: SocketAddrV4,
    /// The register tells of it.
    pub(super) is_listed: bool,
    phase: GatewayPhase,
    backoff: ReconnectBackoff,
    /// Why it cannot be talked to.
    pub(super) why: String,
}

enum GatewayPhase {
    /// Until it has said something. Calls wait for it when it is awaited, else it counts as down.
    Connecting {
        connection: GatewayConn,
        until: Instant,
        awaited: bool,
    },
    Up {
        connection: GatewayConn,
        since: Instant,
    },
    Down {
        retry_at: Instant,
    },
}

impl ClusterGateway {
    pub(super) fn new(address: SocketAddrV4, is_listed: bool) -> Self {
        Self {
            address,
            is_listed,
            phase: GatewayPhase::Down { retry_at: Instant::now() },
            backoff: ReconnectBackoff::default(),
            why: "it is not connected".to_owned(),
        }
    }

    /// What `epoll` calls it.
    pub(super) fn token(address: SocketAddrV4) -> u64 {
        u64::from(address.ip().to_bits()) << 16 | u64::from(address.port())
    }

    pub(super) fn by_token(token: u64) -> SocketAddrV4 {
        #[allow(clippy::cast_possible_truncation)] // The parts that it was made of.
        SocketAddrV4::new(((token >> 16) as u32).into(), token as u16)
    }

    pub(super) fn connect(&mut self, epoll: &Epoll, secret: &str, awaited: bool, bound: Option<Instant>) {
        let until = bound.unwrap_or_else(|| Instant::now() + CONNECT_TIMEOUT);
        let connection = GatewayConn::connect(epoll, self.address, Self::token(self.address));
        let connection =
            connection.map_err(|error| crate::error::describe(&error)).and_then(|mut connection| {
                connection.greet(secret)?;
                Ok(connection)
            });
        match connection {
            Ok(connection) => self.phase = GatewayPhase::Connecting { connection, until, awaited },
            Err(why) => {
                self.why = why;
                self.phase = GatewayPhase::Down { retry_at: Instant::now() + self.backoff.next_pause() };
            }
        }
    }

    /// What goes over it now.
    pub(super) fn up(&mut self) -> Option<&mut GatewayConn> {
        match &mut self.phase {
            GatewayPhase::Up { connection, .. } => Some(connection),
            _ => None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.phase, GatewayPhase::Up { .. })
    }

    /// Calls wait to know whether it is there.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.phase, GatewayPhase::Connecting { awaited: true, .. })
    }

    /// Nobody waits for it any more.
    pub(super) fn goes_on_alone(&mut self) {
        if let GatewayPhase::Connecting { awaited, .. } = &mut self.phase {
            *awaited = false;
            self.why = "it has not answered yet".to_owned();
        }
    }

    /// Bytes that wait to go out.
    pub(super) fn backlog(&self) -> usize {
        match &self.phase {
            GatewayPhase::Up { connection, .. } => connection.backlog(),
            _ => 0,
        }
    }

    pub(super) fn connection(&mut self) -> Option<&mut GatewayConn> {
        match &mut self.phase {
            GatewayPhase::Connecting { connection, .. } | GatewayPhase::Up { connection, .. } => {
                Some(connection)
            }
            GatewayPhase::Down { .. } => None,
        }
    }

    pub(super) fn first_unsettled(&self) -> Option<u64> {
        match &self.phase {
            GatewayPhase::Up { connection, .. } => connection.unacked.first_unsettled(),
            _ => None,
        }
    }

    /// It has said something.
    pub(super) fn is_there(&mut self) {
        let phase = std::mem::replace(&mut self.phase, GatewayPhase::Down { retry_at: Instant::now() });
        self.phase = match phase {
            GatewayPhase::Connecting { connection, .. } => {
                GatewayPhase::Up { connection, since: Instant::now() }
            }
            other => other,
        };
    }

    /// Its connection is of no more use. It is tried again at once if it was a good one, and else after a while.
    pub(super) fn lose(&mut self, epoll: &Epoll, secret: &str, why: String) -> UnfinishedCalls {
        self.why = why;
        let retry_at = Instant::now();
        let (connection, was_up) = match std::mem::replace(&mut self.phase, GatewayPhase::Down { retry_at }) {
            GatewayPhase::Up { connection, since } => {
                if since.elapsed() >= GOOD_AFTER {
                    self.backoff.reset();
                }
                (connection, true)
            }
            GatewayPhase::Connecting { connection, .. } => (connection, false),
            GatewayPhase::Down { retry_at } => {
                self.phase = GatewayPhase::Down { retry_at };
                return UnfinishedCalls::default();
            }
        };
        if !was_up && self.why == CLOSED {
            self.why.push_str(" before it answered, as it does when the secret is wrong");
        }
        let left = connection.close(epoll);
        if was_up && self.backoff.is_fresh() {
            // The next loss has to wait, unless this connection turns out to be a good one.
            let _ = self.backoff.next_pause();
            self.connect(epoll, secret, true, None);
        } else {
            self.phase = GatewayPhase::Down { retry_at: retry_at + self.backoff.next_pause() };
        }
        left
    }

    /// When something must happen to it: `patience` is how long it may be silent.
    pub(super) fn due(&self, patience: Duration) -> Option<Instant> {
        match &self.phase {
            GatewayPhase::Connecting { until, .. } => Some(*until),
            GatewayPhase::Up { connection, .. } => connection.patience_ends(patience),
            GatewayPhase::Down { retry_at } => self.is_listed.then_some(*retry_at),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        matches!(self.phase, GatewayPhase::Down { .. })
    }
}
