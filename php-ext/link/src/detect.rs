//! Tells which protocol is spoken at a register address: our gateway's bridge, or that of GatewayWorker's register.
//!
//! Our gateway answers the bridge's preface at once. The register waits in silence for the end of a line. So a second
//! connection is made, with the register's own first line, only after some silence or an end without a byte. The protocol is
//! that of the connection which is answered first, and the bridge when both are. The first connection is kept for a while even
//! then, and used if a late gateway answers on it.
//!
//! That line holds the secret, as GatewayWorker's own clients send it. So a target with a secret is probed for a register only
//! where [`GatewayProtocol::GatewayWorker`](crate::GatewayProtocol::GatewayWorker) names it one: otherwise any program that
//! listens there and keeps silent would be told the secret.

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

/// A silence of this length, beside the time of some round trips, suggests a register.
const REGISTER_SILENCE: Duration = Duration::from_millis(100);
/// The same where a register has answered before.
const KNOWN_REGISTER_SILENCE: Duration = Duration::from_millis(10);
/// How long it is remembered which protocol an address has answered with.
const REMEMBERED: Duration = Duration::from_secs(30);

pub(crate) enum Detected {
    /// The socket leads to our gateway, or to a service that the handshake will find to be none.
    Gateway(CloseOnFork<Socket>),
    Register(Box<FoundRegister>),
}

/// The connection to a register that has answered.
pub(crate) struct FoundRegister {
    pub(crate) socket_address: SockAddr,
    /// This socket has sent the greeting with `secret`.
    pub(crate) socket: CloseOnFork<Socket>,
    pub(crate) buffer: ReadBuffer,
    pub(crate) gateways: Vec<SocketAddrV4>,
    pub(crate) secret: String,
    /// The connection on which gateway-server could still answer.
    pub(crate) bridge: Option<CloseOnFork<Socket>>,
}

/// The protocols that the addresses of a target have answered with.
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

    /// Notes that the protocol known for this address was in use until now.
    pub(crate) fn still_answers(&mut self, address: &Address) {
        if let Some((_, _, when)) = self.0.iter_mut().find(|(known, ..)| known == address) {
            *when = Instant::now();
        }
    }

    /// How long our gateway gets before a register is probed for; `None` when there can be no register. `connecting` is the
    /// time that the TCP connection has taken.
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
    pub(crate) socket_address: &'a SockAddr,
    pub(crate) secret: &'a [u8],
    pub(crate) deadline: Instant,
}

impl ProtocolDetector<'_> {
    /// Decides by what arrives on `bridge`, which has sent the preface. Without patience, the bridge is taken for granted.
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
        // Where a second connection is slow though the first was not, the first is the better hope.
        let soon = self.deadline.min(Instant::now() + patience);
        let register = self.probe_register(true, soon).ok();
        match register {
            Some(register) => self.race(is_open.then_some(bridge), register, patience),
            None if is_open => Ok(Detected::Gateway(bridge)),
            None => Err(ConnectError::ClosedInHandshake),
        }
    }

    /// Connects to a register without looking for the bridge.
    pub(crate) fn register_alone(&self) -> Result<Detected, ConnectError> {
        self.race(None, self.probe_register(false, self.deadline)?, Duration::ZERO)
    }

    fn probe_register(&self, is_open: bool, deadline: Instant) -> Result<RegisterProbe, ConnectError> {
        let secret = std::str::from_utf8(self.secret).map_err(|_| ConnectError::SecretIsNotText)?.to_owned();
        let socket = dial::connect(self.socket_address, deadline)?;
        // The line is short and the socket empty, so this does not block.
        (&*socket).write_all(&register_line::greeting(&secret))?;
        Ok(RegisterProbe { socket, buffer: ReadBuffer::default(), secret, is_open })
    }

    fn redial(&self) -> Result<CloseOnFork<Socket>, ConnectError> {
        let socket = dial::connect(self.socket_address, self.deadline)?;
        (&*socket).write_all(&PREFACE)?;
        Ok(socket)
    }

    fn race(
        &self,
        mut bridge: Option<CloseOnFork<Socket>>,
        probe: RegisterProbe,
        patience: Duration,
    ) -> Result<Detected, ConnectError> {
        let mut deadline = self.deadline;
        let mut probe = Some(probe);
        let mut is_refused = false;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(if is_refused {
                    ConnectError::RegisterRefused
                } else {
                    DialError::Timeout.into()
                });
            }
            wait(bridge.as_deref(), probe.as_ref().map(|probe| &*probe.socket), left)?;
            bridge = match bridge.map(|bridge| (peek(&bridge), bridge)) {
                Some((Peeked::Data, bridge)) => return Ok(Detected::Gateway(bridge)),
                Some((Peeked::Empty, bridge)) => Some(bridge),
                Some((Peeked::End | Peeked::Broken, _)) | None => None,
            };
            match probe.take().map(RegisterProbe::read) {
                Some(ProbeResult::Nothing(still)) => probe = Some(still),
                Some(ProbeResult::Detected(probe, RegisterUpdate::Gateways(gateways))) => {
                    let RegisterProbe { socket, buffer, secret, .. } = probe;
                    let socket_address = self.socket_address.clone();
                    let found = FoundRegister { socket_address, socket, buffer, gateways, secret, bridge };
                    return Ok(Detected::Register(Box::new(found)));
                }
                // Our gateway was slow, or its connection was lost on the way.
                Some(ProbeResult::Detected(_, RegisterUpdate::Replaced)) => {
                    return bridge.map_or_else(|| self.redial(), Ok).map(Detected::Gateway);
                }
                Some(ProbeResult::ForeignService(service)) => {
                    return Err(ConnectError::ForeignService(service));
                }
                Some(ProbeResult::Detected(_, RegisterUpdate::Malformed(why))) => {
                    return Err(ConnectError::NotAGateway(why));
                }
                Some(ProbeResult::Detected(..) | ProbeResult::End) => {
                    is_refused = true;
                    deadline = deadline.min(Instant::now() + patience);
                }
                // The other side does not understand the line, as our gateway does not when GatewayWorker's protocols are off.
                Some(ProbeResult::Broken) | None => {}
            }
            if bridge.is_none() && probe.is_none() {
                return Err(if is_refused {
                    ConnectError::RegisterRefused
                } else {
                    ConnectError::ClosedInHandshake
                });
            }
        }
    }
}

/// A connection on which the register's greeting was sent.
struct RegisterProbe {
    socket: CloseOnFork<Socket>,
    buffer: ReadBuffer,
    secret: String,
    /// The other side may turn out to be our gateway.
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
    /// Reads if there is something to read.
    fn read(mut self) -> ProbeResult {
        match peek(&self.socket) {
            Peeked::Empty => ProbeResult::Nothing(self),
            Peeked::End => ProbeResult::End,
            Peeked::Broken => ProbeResult::Broken,
            Peeked::Data => match self.buffer.fill(&mut &*self.socket) {
                Ok(1..) => {
                    if let Some(service) = ForeignService::from_first_bytes(self.buffer.unread()) {
                        return ProbeResult::ForeignService(service);
                    }
                    match register_line::newest(&mut self.buffer, self.is_open) {
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
