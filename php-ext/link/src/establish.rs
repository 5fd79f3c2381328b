//! One attempt to reach a gateway: tries every address in turn, with handshake, within one bound of time.
//!
//! A register of GatewayWorker may answer in socket_address of our gateway: see `detect`.

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

/// The outcome of an attempt.
pub(crate) enum Established {
    /// A connection to our gateway, and the number of the last order of this producer that it has applied.
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

/// Gives when the first of `waiting` attempts must end, so that all get their share; the last gets one even when all are late.
fn share(deadline: Instant, waiting: usize) -> Instant {
    const LEAST: Duration = Duration::from_millis(10);
    let left = deadline.saturating_duration_since(Instant::now());
    Instant::now() + (left / u32::try_from(waiting).unwrap_or(u32::MAX).max(1)).max(LEAST)
}

struct Attempt<'a> {
    address: &'a Address,
    target: &'a Target,
    /// The purpose of the connection, as [`Login`] has it.
    role: &'a str,
    producer: Producer,
    deadline: Instant,
}

impl Attempt<'_> {
    fn reach(&self, known: &mut DetectionCache) -> Result<Established, ConnectError> {
        let begun = Instant::now();
        let socket_addresses = resolve(self.address)?;
        let mut reason = ConnectError::Resolve("it has no address".to_owned());
        for (i, socket_address) in socket_addresses.iter().enumerate() {
            match self.reach_socket_address(
                socket_address,
                share(self.deadline, socket_addresses.len() - i),
                known,
            ) {
                Ok(reached) => return Ok(reached),
                Err(ConnectError::Timeout(_)) => reason = ConnectError::Timeout(begun.elapsed()),
                Err(other) => reason = other,
            }
        }
        Err(reason)
    }

    fn reach_socket_address(
        &self,
        socket_address: &SockAddr,
        deadline: Instant,
        known: &mut DetectionCache,
    ) -> Result<Established, ConnectError> {
        let secret = self.target.secret();
        if self.address.is_tls() {
            return self.reach_by_tls(socket_address, deadline);
        }
        let detector = ProtocolDetector { socket_address, secret, deadline };
        let answer = if self.target.protocol() == GatewayProtocol::GatewayWorker {
            detector.register_alone()?
        } else {
            let begun = Instant::now();
            let socket = connect(socket_address, deadline)?;
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

    /// Only our gateway speaks TLS, so the protocol need not be detected.
    fn reach_by_tls(
        &self,
        socket_address: &SockAddr,
        deadline: Instant,
    ) -> Result<Established, ConnectError> {
        if self.target.protocol() == GatewayProtocol::GatewayWorker {
            return Err(ConnectError::Tls("GatewayWorker's register has none (gateway.protocol)".to_owned()));
        }
        let session = tls::session(self.target.tls(), self.address).map_err(ConnectError::Tls)?;
        let mut stream = MaybeTlsStream::tls(connect(socket_address, deadline)?, session);
        stream.tls_handshake(|socket| Ok(set_timeouts(socket, deadline)?))?;
        Handshake { stream: &mut stream, deadline }.write(&PREFACE)?;
        self.log_in(stream, deadline)
    }

    /// Runs the handshake on a stream that has sent the preface.
    fn log_in(&self, mut stream: MaybeTlsStream, deadline: Instant) -> Result<Established, ConnectError> {
        let mut replies = ReplyReader::default();
        let applied = Handshake { stream: &mut stream, deadline }.run(
            self.target.secret(),
            self.role,
            self.producer,
            &mut replies,
        )?;
        stream.socket().set_nonblocking(true)?;
        let connection = BridgeConn::new(self.address.clone(), stream, replies)?;
        Ok(Established::Bridge(connection, applied))
    }
}
