//! One attempt to reach a gateway: every address in turn, with handshake, within one bound of time.
//!
//! What answers may be a register of GatewayWorker in place of our gateway: see `detect`.

use std::time::{Duration, Instant};

use gateway_wire::bridge::{PREFACE, Producer};
use socket2::SockAddr;

use crate::address::Address;
use crate::bridge_conn::BridgeConnection;
use crate::detect::{Answer, DetectionCache, ProtocolDetector};
use crate::dial::{connect, resolve, set_timeouts, write_by};
use crate::error::{Failure, Reason, Unreachable};
use crate::gatewayworker::Session;
use crate::handshake::Handshake;
use crate::reply_reader::Replies;
use crate::stream::Wire;
use crate::target::{Protocol, Target};
use crate::tls;

/// What an attempt leads to.
pub(crate) enum Reached {
    /// Our gateway, and the highest order of this producer that has taken effect already.
    Gateway(BridgeConnection, u64),
    Cluster(Box<Session>),
}

pub(crate) fn attempt(
    target: &Target,
    role: &str,
    producer: Producer,
    bound: Duration,
    known: &mut DetectionCache,
) -> Result<Reached, Unreachable> {
    let deadline = Instant::now() + bound;
    let mut failures = Vec::new();
    let addresses = target.addresses();
    for (i, address) in addresses.iter().enumerate() {
        let deadline = share(deadline, addresses.len() - i);
        let attempt = Attempt { address, target, role, producer, deadline };
        match attempt.reach(known) {
            Ok(reached) => return Ok(reached),
            Err(reason) => failures.push(Failure { address: address.clone(), reason }),
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
    fn reach(&self, known: &mut DetectionCache) -> Result<Reached, Reason> {
        let begun = Instant::now();
        let places = resolve(self.address)?;
        let mut reason = Reason::Resolve("it has no address".to_owned());
        for (i, place) in places.iter().enumerate() {
            match self.reach_place(place, share(self.deadline, places.len() - i), known) {
                Ok(reached) => return Ok(reached),
                Err(Reason::Timeout(_)) => reason = Reason::Timeout(begun.elapsed()),
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
    ) -> Result<Reached, Reason> {
        let secret = self.target.secret();
        if self.address.is_tls() {
            return self.reach_by_tls(place, deadline);
        }
        let detector = ProtocolDetector { place, secret, deadline };
        let answer = if self.target.protocol() == Protocol::GatewayWorker {
            detector.register_alone()?
        } else {
            let begun = Instant::now();
            let socket = connect(place, deadline)?;
            write_by(&socket, &PREFACE, deadline)?;
            match self.target.protocol() {
                Protocol::Bridge => Answer::Gateway(socket),
                _ => detector.who(socket, known.patience(self.address, begun.elapsed(), deadline))?,
            }
        };
        match answer {
            Answer::Gateway(socket) => {
                let reached = self.log_in(Wire::plain(socket), deadline)?;
                known.is_gateway(self.address);
                Ok(reached)
            }
            Answer::Register(found) => {
                known.is_register(self.address);
                let session = Session::open(self.address.clone(), self.target, *found, deadline);
                session.map(|session| Reached::Cluster(Box::new(session))).map_err(Reason::Cluster)
            }
        }
    }

    /// Only our gateway speaks TLS: there is nothing to guess.
    fn reach_by_tls(&self, place: &SockAddr, deadline: Instant) -> Result<Reached, Reason> {
        if self.target.protocol() == Protocol::GatewayWorker {
            return Err(Reason::Tls("GatewayWorker's register has none (gateway.protocol)".to_owned()));
        }
        let session = tls::session(self.target.tls(), self.address).map_err(Reason::Tls)?;
        let mut wire = Wire::secured(connect(place, deadline)?, session);
        wire.shake_hands(|socket| Ok(set_timeouts(socket, deadline)?))?;
        Handshake { wire: &mut wire, deadline }.write(&PREFACE)?;
        self.log_in(wire, deadline)
    }

    /// After the preface.
    fn log_in(&self, mut wire: Wire, deadline: Instant) -> Result<Reached, Reason> {
        let mut replies = Replies::default();
        let applied = Handshake { wire: &mut wire, deadline }.shake(
            self.target.secret(),
            self.role,
            self.producer,
            &mut replies,
        )?;
        wire.socket().set_nonblocking(true)?;
        let connection = BridgeConnection::new(self.address.clone(), wire, replies)?;
        Ok(Reached::Gateway(connection, applied))
    }
}
