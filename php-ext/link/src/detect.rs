//! KnownProtocol answers at a register address: our gateway, or the register of GatewayWorker, which PHP runs.
//!
//! Our gateway answers the preface of the bridge at once. The register waits in silence for the end of a line. So only
//! after some silence, or an end without a byte, is a second connection made, on which the register's own first line is
//! said; whoever answers first it is, and our gateway when both do. The first connection is kept for a while even then: a
//! gateway of ours that is very late is taken once it answers.
//!
//! That line has the secret in it, as GatewayWorker's own clients send it. So where there is a secret nobody is asked so
//! who has not been named a register by [`GatewayProtocol::GatewayWorker`](crate::GatewayProtocol::GatewayWorker): silence would do for
//! whoever listens there to be told the secret.

use std::io::Write as _;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use gateway_wire::bridge::PREFACE;
use socket2::{SockAddr, Socket};

use crate::address::Address;
use crate::dial::{self, DialError};
use crate::error::ConnectError;
use crate::foreign_service::ForeignService;
use crate::fork::CloseOnFork;
use crate::peek::{Peeked, peek, wait};
use crate::read_buffer::ReadBuffer;
use crate::register_line::{self, RegisterUpdate};

/// Silence that tells of a register, beside the time of some ways there and back.
const REGISTER_SILENCE: Duration = Duration::from_millis(100);
/// The same, where one has answered before.
const KNOWN_REGISTER_SILENCE: Duration = Duration::from_millis(10);
/// How long it counts who has answered before.
const REMEMBERED: Duration = Duration::from_secs(30);

pub(crate) enum Detected {
    /// Or nobody known, which the handshake finds out.
    Gateway(CloseOnFork<Socket>),
    Register(Box<FoundRegister>),
}

/// A register that has answered.
pub(crate) struct FoundRegister {
    pub(crate) place: SockAddr,
    /// Has been greeted with `secret`.
    pub(crate) socket: CloseOnFork<Socket>,
    pub(crate) inbox: ReadBuffer,
    pub(crate) gateways: Vec<SocketAddrV4>,
    pub(crate) secret: String,
    /// Where gateway-server could still answer.
    pub(crate) bridge: Option<CloseOnFork<Socket>>,
}

/// KnownProtocol has answered at the addresses of a target.
#[derive(Debug, Default)]
pub(crate) struct DetectionCache(Vec<(Address, KnownProtocol, Instant)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KnownProtocol {
    Gateway,
    Register,
}

impl DetectionCache {
    pub(crate) fn note_gateway(&mut self, address: &Address) {
        self.remember(address, KnownProtocol::Gateway);
    }

    pub(crate) fn note_register(&mut self, address: &Address) {
        self.remember(address, KnownProtocol::Register);
    }

    /// It has answered until now.
    pub(crate) fn still_answers(&mut self, address: &Address) {
        if let Some((_, _, when)) = self.0.iter_mut().find(|(known, ..)| known == address) {
            *when = Instant::now();
        }
    }

    /// How long our gateway has before a register is thought of; `None` when it cannot be a register. Connecting has
    /// taken `connecting`.
    pub(crate) fn patience(
        &self,
        address: &Address,
        connecting: Duration,
        deadline: Instant,
    ) -> Option<Duration> {
        if matches!(address, Address::Unix(_)) {
            return None;
        }
        let known = self.0.iter().find(|(known, ..)| known == address);
        let silence = match known.filter(|(_, _, when)| when.elapsed() < REMEMBERED) {
            Some((_, KnownProtocol::Gateway, _)) => return None,
            Some((_, KnownProtocol::Register, _)) => KNOWN_REGISTER_SILENCE,
            None => REGISTER_SILENCE,
        };
        let most = deadline.saturating_duration_since(Instant::now()) / 3;
        Some((silence + connecting * 4).min(most))
    }

    fn remember(&mut self, address: &Address, who: KnownProtocol) {
        self.0.retain(|(known, ..)| known != address);
        self.0.push((address.clone(), who, Instant::now()));
    }
}

pub(crate) struct ProtocolDetector<'a> {
    pub(crate) place: &'a SockAddr,
    pub(crate) secret: &'a [u8],
    pub(crate) deadline: Instant,
}

impl ProtocolDetector<'_> {
    /// `bridge` has been told the preface. Without patience it is not doubted.
    pub(crate) fn detect(
        &self,
        bridge: CloseOnFork<Socket>,
        patience: Option<Duration>,
    ) -> Result<Detected, ConnectError> {
        let Some(patience) = patience else { return Ok(Detected::Gateway(bridge)) };
        wait(Some(&bridge), None, patience)?;
        let is_open = match peek(&bridge) {
            Peeked::Data => return Ok(Detected::Gateway(bridge)),
            Peeked::Empty => true,
            Peeked::End | Peeked::Broken => false,
        };
        // Where it is slow to connect now, though it was not just before, the first connection is the better hope.
        let soon = self.deadline.min(Instant::now() + patience);
        let register = self.probe_register(true, soon).ok();
        match register {
            Some(register) => self.race(is_open.then_some(bridge), register, patience),
            None if is_open => Ok(Detected::Gateway(bridge)),
            None => Err(ConnectError::closed()),
        }
    }

    /// Whoever else could answer.
    pub(crate) fn register_alone(&self) -> Result<Detected, ConnectError> {
        self.race(None, self.probe_register(false, self.deadline)?, Duration::ZERO)
    }

    fn probe_register(&self, is_open: bool, deadline: Instant) -> Result<RegisterProbe, ConnectError> {
        let secret = std::str::from_utf8(self.secret).map_err(|_| ConnectError::SecretIsNotText)?.to_owned();
        let socket = dial::connect(self.place, deadline)?;
        // The line is short, and the socket empty.
        (&*socket).write_all(&register_line::greeting(&secret))?;
        Ok(RegisterProbe { socket, inbox: ReadBuffer::default(), secret, is_open })
    }

    fn redial(&self) -> Result<CloseOnFork<Socket>, ConnectError> {
        let socket = dial::connect(self.place, self.deadline)?;
        (&*socket).write_all(&PREFACE)?;
        Ok(socket)
    }

    fn race(
        &self,
        mut bridge: Option<CloseOnFork<Socket>>,
        asked: RegisterProbe,
        patience: Duration,
    ) -> Result<Detected, ConnectError> {
        let mut deadline = self.deadline;
        let mut asked = Some(asked);
        let mut was_refused = false;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(if was_refused {
                    ConnectError::RegisterRefused
                } else {
                    DialError::Timeout.into()
                });
            }
            wait(bridge.as_deref(), asked.as_ref().map(|asked| &*asked.socket), left)?;
            bridge = match bridge.map(|bridge| (peek(&bridge), bridge)) {
                Some((Peeked::Data, bridge)) => return Ok(Detected::Gateway(bridge)),
                Some((Peeked::Empty, bridge)) => Some(bridge),
                Some((Peeked::End | Peeked::Broken, _)) | None => None,
            };
            match asked.take().map(RegisterProbe::read) {
                Some(ProbeResult::Nothing(still)) => asked = Some(still),
                Some(ProbeResult::Detected(asked, RegisterUpdate::Gateways(gateways))) => {
                    let RegisterProbe { socket, inbox, secret, .. } = asked;
                    let place = self.place.clone();
                    let found = FoundRegister { place, socket, inbox, gateways, secret, bridge };
                    return Ok(Detected::Register(Box::new(found)));
                }
                // It was slow, or its connection was lost on the way.
                Some(ProbeResult::Detected(_, RegisterUpdate::Replaced)) => {
                    return bridge.map_or_else(|| self.redial(), Ok).map(Detected::Gateway);
                }
                Some(ProbeResult::ForeignService(stranger)) => {
                    return Err(ConnectError::ForeignService(stranger));
                }
                Some(ProbeResult::Detected(_, RegisterUpdate::Nonsense(why))) => {
                    return Err(ConnectError::NotAGateway(why));
                }
                Some(ProbeResult::Detected(..) | ProbeResult::End) => {
                    was_refused = true;
                    deadline = deadline.min(Instant::now() + patience);
                }
                // Somebody who does not understand the line, such as a gateway of ours without GatewayWorker's protocols.
                Some(ProbeResult::Broken) | None => {}
            }
            if bridge.is_none() && asked.is_none() {
                return Err(if was_refused { ConnectError::RegisterRefused } else { ConnectError::closed() });
            }
        }
    }
}

/// A connection on which a register was asked.
struct RegisterProbe {
    socket: CloseOnFork<Socket>,
    inbox: ReadBuffer,
    secret: String,
    /// It may turn out to be a gateway of ours.
    is_open: bool,
}

enum ProbeResult {
    Nothing(RegisterProbe),
    Detected(RegisterProbe, RegisterUpdate),
    ForeignService(ForeignService),
    End,
    Broken,
}

impl RegisterProbe {
    /// If there is something to read.
    fn read(mut self) -> ProbeResult {
        match peek(&self.socket) {
            Peeked::Empty => ProbeResult::Nothing(self),
            Peeked::End => ProbeResult::End,
            Peeked::Broken => ProbeResult::Broken,
            Peeked::Data => match self.inbox.fill(&mut &*self.socket) {
                Ok(1..) => {
                    if let Some(stranger) = ForeignService::from_first_bytes(self.inbox.unread()) {
                        return ProbeResult::ForeignService(stranger);
                    }
                    match register_line::newest(&mut self.inbox, self.is_open) {
                        Some(news) => ProbeResult::Detected(self, news),
                        None => ProbeResult::Nothing(self),
                    }
                }
                Ok(0) => ProbeResult::End,
                Err(_) => ProbeResult::Broken,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_decides_how_long_to_wait() {
        let deadline = Instant::now() + Duration::from_secs(3);
        let patience = |known: &DetectionCache, address: &Address| {
            known.patience(address, Duration::from_millis(1), deadline).map(|patience| patience.as_millis())
        };
        let mut known = DetectionCache::default();
        let here = Address::parse(b"127.0.0.1:1236").unwrap();
        assert_eq!(patience(&known, &here), Some(104));
        known.note_register(&here);
        assert_eq!(patience(&known, &here), Some(14));
        known.note_gateway(&here);
        assert_eq!(patience(&known, &here), None);
        assert_eq!(patience(&known, &Address::parse(b"127.0.0.1:1238").unwrap()), Some(104));
        assert_eq!(patience(&known, &Address::parse(b"unix:///run/gateway").unwrap()), None);
        let hurried = Instant::now() + Duration::from_millis(30);
        assert!(
            DetectionCache::default().patience(&here, Duration::ZERO, hurried).unwrap().as_millis() <= 10
        );
    }
}
