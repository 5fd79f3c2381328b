//! Log lines about peers that misbehave. They are clear, but bounded in number so that no flood fills a disk.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

/// A kind of misbehaviour, or of trouble that peers can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    Unfinished,
    NoMemory,
    NotWebsocket,
    HandshakeStalled,
    Protocol,
    TooSlow,
    Accept,
    Register,
    RegisterFull,
    Login,
    Call,
    BusyWorkers,
    NoWorker,
    NotAllowed,
    Full,
    FullForAddress,
    TooManyMessages,
    Token,
    Resume,
    Tls,
    Proxy,
    Operations,
    Cluster,
}

/// The number of lines of one kind that are logged in a [`WINDOW`]. Further ones are only counted.
const LINES: u32 = 10;
/// The time in which the lines of one kind are counted against [`LINES`].
const WINDOW: Duration = Duration::from_secs(10);
const KINDS: usize = Offence::Cluster as usize + 1;

static THROTTLES: [Mutex<Throttle>; KINDS] = [const { Mutex::new(Throttle::NEW) }; KINDS];

/// Logs what `peer` did, and what the server did about it.
pub fn report(offence: Offence, peer: Option<SocketAddr>, detail: &dyn Display) {
    let verdict =
        THROTTLES[offence as usize].lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
    let Some(unlogged) = verdict else { return };
    let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
    if unlogged > 0 {
        warn!(offence = offence.name(), unlogged, "as many more of this kind were not logged");
    }
    warn!(offence = offence.name(), peer, "{}: {detail}", offence.text());
}

/// How often each kind was reported since the start, by the name of the kind.
pub fn totals() -> Vec<(&'static str, u64)> {
    let total =
        |offence: Offence| THROTTLES[offence as usize].lock().unwrap_or_else(PoisonError::into_inner).total;
    Offence::ALL.into_iter().map(|offence| (offence.name(), total(offence))).collect()
}

impl Offence {
    const ALL: [Self; KINDS] = [
        Self::Unfinished,
        Self::NoMemory,
        Self::NotWebsocket,
        Self::HandshakeStalled,
        Self::Protocol,
        Self::TooSlow,
        Self::Accept,
        Self::Register,
        Self::RegisterFull,
        Self::Login,
        Self::Call,
        Self::BusyWorkers,
        Self::NoWorker,
        Self::NotAllowed,
        Self::Full,
        Self::FullForAddress,
        Self::TooManyMessages,
        Self::Token,
        Self::Resume,
        Self::Tls,
        Self::Proxy,
        Self::Operations,
        Self::Cluster,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished",
            Self::NoMemory => "no-memory",
            Self::Token => "token",
            Self::Resume => "resume",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Operations => "operations",
            Self::Cluster => "cluster",
            Self::NotWebsocket => "not-websocket",
            Self::HandshakeStalled => "handshake-stalled",
            Self::Protocol => "protocol",
            Self::TooSlow => "too-slow",
            Self::Accept => "accept",
            Self::Register => "register",
            Self::RegisterFull => "register-full",
            Self::Login => "login",
            Self::Call => "call",
            Self::BusyWorkers => "busy-workers",
            Self::NoWorker => "no-worker",
            Self::NotAllowed => "not-allowed",
            Self::Full => "full",
            Self::FullForAddress => "full-for-address",
            Self::TooManyMessages => "too-many-messages",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Cluster => "ignored what came over NATS",
            Self::Operations => "refused a request on the operations port",
            Self::Proxy => "refused a connection for what its proxy says",
            Self::Tls => "ended a connection for its TLS",
            Self::Unfinished => "closed the client whose message that is not whole takes most",
            Self::NoMemory => "gave up a connection for want of memory",
            Self::Token => "refused a client for its connect token",
            Self::Resume => "did not look at the resume secret of a client",
            Self::NotWebsocket => "refused a connection that is no websocket",
            Self::HandshakeStalled => "closed a connection whose handshake stalled",
            Self::Protocol => "closed a client that broke the protocol",
            Self::TooSlow => "closed a client that reads too slowly",
            Self::Accept => "cannot accept connections for a moment",
            Self::Register => "closed a connection on the register port",
            Self::RegisterFull => "lets the next connection on the register port wait",
            Self::Login => "refused a login on the register port",
            Self::Call => "refused a call of GatewayWorker's classes",
            Self::BusyWorkers => "stopped reading from a client until its worker has caught up",
            Self::NoWorker => "lost an event of a client",
            Self::NotAllowed => "refused a websocket that is not allowed",
            Self::Full | Self::FullForAddress => "refused a connection over the limit",
            Self::TooManyMessages => "closed a client that sends too much",
        }
    }
}

/// The counts of one kind, and the decision whether it is logged.
struct Throttle {
    window: Option<Instant>,
    lines: u32,
    unlogged: u64,
    total: u64,
}

impl Throttle {
    const NEW: Self = Self { window: None, lines: 0, unlogged: 0, total: 0 };

    /// Counts a report. If a line may be logged for it, gives how many reports were left out since the last line.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        self.total += 1;
        if self.window.is_none_or(|start| now.duration_since(start) >= WINDOW) {
            self.window = Some(now);
            self.lines = 0;
        }
        if self.lines == LINES {
            self.unlogged += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_instead_of_logged() {
        let mut throttle = Throttle::NEW;
        let now = Instant::now();
        let logged = (0..1000).filter(|_| throttle.admit(now).is_some()).count();
        assert_eq!(logged, LINES as usize);
        assert_eq!(throttle.admit(now + WINDOW), Some(990));
        assert_eq!(throttle.admit(now + WINDOW), Some(0));
    }
}
