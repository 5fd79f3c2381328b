//! One attempt to reach a gateway: every address in turn, with handshake, within one bound of time.
//!
//! What answers may be a register of GatewayWorker in place of our gateway: see `detect`.

use std::time::{Duration, Instant};

use gateway_wire::bridge::{PREFACE, Producer};
use socket2::SockAddr;

use crate::address::Address;
use crate::bridge_conn::BridgeConn;
use crate::detect::{Detected, DetectionCache, ProtocolDetector};
use crate::dial::{connect, resolve, set_timeouts, write_by};
use crate::error::{ConnectError, FailedAttempt, Unreachable};
use crate::gatewayworker::ClusterSession;
use crate::handshake::Handshake;
use crate::reply_reader::ReplyReader;
use crate::stream::MaybeTlsStream;
use crate::target::{GatewayProtocol, Target};
use crate::tls;

/// What an attempt leads to.
pub(crate) enum Established {
    /// Our gateway, and the highest order of this producer that has taken effect already.
    Bridge(BridgeConn, u64),
    GatewayWorker(Box<ClusterSession>),
}

pub(crate) fn attempt(
    target: &Target,
    role: &str,
    producer: Producer,
    bound: Duration,
    known: &mut DetectionCache,
) -> Result<Established, Unreachable> {
    let deadline = Instant::now() + bound;
    let mut failures = Vec::new();
    let addresses = target.addresses();
    for (i, address) in addresses.iter().enumerate() {
        let deadline = share(deadline, addresses.len() - i);
        let attempt = Attempt { address, target, role, producer, deadline };
        match attempt.reach(known) {
            Ok(reached) => return Ok(reached),
            Err(reason) => failures.push(FailedAttempt { address: address.clone(), reason }),
        }
    }
    Err(Unreachable { failures })
}

/// When the first of `waiting` must be done, so that all get their turn; the last gets one even when all are late.
fn share(deadline: Instant, waiting: usize) -> Instant {
    const LEAST: Duration = Duration::from_millis(10);
    let left = deadline.saturating_duration_since(Instant::now());
    Instant::now() + (left / u32::try_from(waiting).unwrap_or(u32::MAX).max(1)).max(LEAST)
}

struct Attempt<'a> {
    address: &'a Address,
    target: &'a Target,
    /// What the connection is for, as [`Login`] has it.
    role: &'a str,
    producer: Producer,
    deadline: Instant,
}

impl Attempt<'_> {
    fn reach(&self, known: &mut DetectionCache) -> Result<Established, ConnectError> {
        let begun = Instant::now();
        let places = resolve(self.address)?;
        let mut reason = ConnectError::Resolve("it has no address".to_owned());
        for (i, place) in places.iter().enumerate() {
            match self.reach_place(place, share(self.deadline, places.len() - i), known) {
                Ok(reached) => return Ok(reached),
                Err(ConnectError::Timeout(_)) => reason = ConnectError::Timeout(begun.elapsed()),
                Err(other) => reason = other,
            }
        }
        Err(reason)
    }

    fn reach_place(
        &self,
        place: &SockAddr,
        deadline: Instant,
        known: &mut DetectionCache,
    ) -> Result<Established, ConnectError> {
        let secret = self.target.secret();
        if self.address.is_tls() {
            return self.reach_by_tls(place, deadline);
        }
        let detector = ProtocolDetector { place, secret, deadline };
        let answer = if self.target.protocol() == GatewayProtocol::GatewayWorker {
            detector.register_alone()?
        } else {
            let begun = Instant::now();
            let socket = connect(place, deadline)?;
            write_by(&socket, &PREFACE, deadline)?;
            match self.target.protocol() {
                GatewayProtocol::Bridge => Detected::Gateway(socket),
                _ => detector.detect(socket, known.patience(self.address, begun.elapsed(), deadline))?,
            }
        };
        match answer {
            Detected::Gateway(socket) => {
                let reached = self.log_in(MaybeTlsStream::plain(socket), deadline)?;
                known.note_gateway(self.address);
                Ok(reached)
            }
            Detected::Register(found) => {
                known.note_register(self.address);
                let session = ClusterSession::open(self.address.clone(), self.target, *found, deadline);
                session
                    .map(|session| Established::GatewayWorker(Box::new(session)))
                    .map_err(ConnectError::Cluster)
            }
        }
    }

    /// Only our gateway speaks TLS: there is nothing to guess.
    fn reach_by_tls(&self, place: &SockAddr, deadline: Instant) -> Result<Established, ConnectError> {
        if self.target.protocol() == GatewayProtocol::GatewayWorker {
            return Err(ConnectError::Tls("GatewayWorker's register has none (gateway.protocol)".to_owned()));
        }
        let session = tls::session(self.target.tls(), self.address).map_err(ConnectError::Tls)?;
        let mut wire = MaybeTlsStream::tls(connect(place, deadline)?, session);
        wire.tls_handshake(|socket| Ok(set_timeouts(socket, deadline)?))?;
        Handshake { wire: &mut wire, deadline }.write(&PREFACE)?;
        self.log_in(wire, deadline)
    }

    /// After the preface.
    fn log_in(&self, mut wire: MaybeTlsStream, deadline: Instant) -> Result<Established, ConnectError> {
        let mut replies = ReplyReader::default();
        let applied = Handshake { wire: &mut wire, deadline }.run(
            self.target.secret(),
            self.role,
            self.producer,
            &mut replies,
        )?;
        wire.socket().set_nonblocking(true)?;
        let connection = BridgeConn::new(self.address.clone(), wire, replies)?;
        Ok(Established::Bridge(connection, applied))
    }
}
