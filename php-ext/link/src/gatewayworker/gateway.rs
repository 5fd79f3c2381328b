//! One gateway of the cluster, and the state of the connection to it.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::epoll::Epoll;
use super::gateway_conn::{CLOSED, GatewayConn};
use super::unacked::UnfinishedCalls;
use crate::backoff::ReconnectBackoff;

/// Calls wait so long for a gateway that is new, or whose connection was just lost.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that lasted so long was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(1);

pub(super) struct ClusterGateway {
    address: SocketAddrV4,
    /// Whether the register lists this gateway.
    pub(super) is_listed: bool,
    phase: GatewayPhase,
    backoff: ReconnectBackoff,
    /// Why the gateway cannot be used, in words.
    pub(super) why: String,
}

enum GatewayPhase {
    /// The gateway has not replied yet. Calls wait for it while it is awaited; otherwise it counts as down.
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

    /// The token under which `epoll` reports the gateway's socket.
    pub(super) fn token(address: SocketAddrV4) -> u64 {
        u64::from(address.ip().to_bits()) << 16 | u64::from(address.port())
    }

    pub(super) fn address_of(token: u64) -> SocketAddrV4 {
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

    /// The connection, if calls can be sent on it.
    pub(super) fn up(&mut self) -> Option<&mut GatewayConn> {
        match &mut self.phase {
            GatewayPhase::Up { connection, .. } => Some(connection),
            _ => None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.phase, GatewayPhase::Up { .. })
    }

    /// Whether calls wait to learn if the gateway is there.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.phase, GatewayPhase::Connecting { awaited: true, .. })
    }

    /// Lets calls no longer wait for the gateway.
    pub(super) fn stop_awaiting(&mut self) {
        if let GatewayPhase::Connecting { awaited, .. } = &mut self.phase {
            *awaited = false;
            self.why = "it has not answered yet".to_owned();
        }
    }

    /// The number of bytes that wait to go out.
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

    pub(super) fn first_unfinished(&self) -> Option<u64> {
        match &self.phase {
            GatewayPhase::Up { connection, .. } => connection.unacked.first_unfinished(),
            _ => None,
        }
    }

    /// Notes that the gateway has replied.
    pub(super) fn mark_up(&mut self) {
        let phase = std::mem::replace(&mut self.phase, GatewayPhase::Down { retry_at: Instant::now() });
        self.phase = match phase {
            GatewayPhase::Connecting { connection, .. } => {
                GatewayPhase::Up { connection, since: Instant::now() }
            }
            other => other,
        };
    }

    /// Closes a connection that is of no more use. The gateway is connected to again at once if the connection was a good one,
    /// and else after a pause.
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

    /// When something must be done about the gateway. It may be silent for `patience`.
    pub(super) fn due(&self, patience: Duration) -> Option<Instant> {
        match &self.phase {
            GatewayPhase::Connecting { until, .. } => Some(*until),
            GatewayPhase::Up { connection, .. } => connection.deadline(patience),
            GatewayPhase::Down { retry_at } => self.is_listed.then_some(*retry_at),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        matches!(self.phase, GatewayPhase::Down { .. })
    }
}
