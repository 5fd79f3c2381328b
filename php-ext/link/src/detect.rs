//! Who answers at a register address: our gateway, or the register of GatewayWorker, which PHP runs.
//!
//! Our gateway answers the preface of the bridge at once. The register waits in silence for the end of a line. So only
//! after some silence, or an end without a byte, is a second connection made, on which the register's own first line is
//! said; whoever answers first it is, and our gateway when both do. The first connection is kept for a while even then: a
//! gateway of ours that is very late is taken once it answers.
//!
//! That line has the secret in it, as GatewayWorker's own clients send it. So where there is a secret nobody is asked so
//! who has not been named a register by [`Protocol::GatewayWorker`](crate::Protocol::GatewayWorker): silence would do for
//! whoever listens there to be told the secret.

use std::io::Write as _;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use gateway_wire::bridge::PREFACE;
use socket2::{SockAddr, Socket};

use crate::address::Address;
use crate::dial::{self, Failed};
use crate::error::Reason;
use crate::foreign_service::Stranger;
use crate::fork::Watched;
use crate::peek::{Look, look, wait};
use crate::read_buffer::Inbox;
use crate::register_line::{self, News};

/// Silence that tells of a register, beside the time of some ways there and back.
const SILENCE: Duration = Duration::from_millis(100);
/// The same, where one has answered before.
const KNOWN_SILENCE: Duration = Duration::from_millis(10);
/// How long it counts who has answered before.
const REMEMBERED: Duration = Duration::from_secs(30);

pub(crate) enum Answer {
    /// Or nobody known, which the handshake finds out.
    Gateway(Watched<Socket>),
    Register(Box<Found>),
}

/// A register that has answered.
pub(crate) struct Found {
    pub(crate) place: SockAddr,
    /// Has been greeted with `secret`.
    pub(crate) socket: Watched<Socket>,
    pub(crate) inbox: Inbox,
    pub(crate) gateways: Vec<SocketAddrV4>,
    pub(crate) secret: String,
    /// Where gateway-server could still answer.
    pub(crate) bridge: Option<Watched<Socket>>,
}

/// Who has answered at the addresses of a target.
#[derive(Debug, Default)]
pub(crate) struct DetectionCache(Vec<(Address, Who, Instant)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Gateway,
    Register,
}

impl DetectionCache {
    pub(crate) fn is_gateway(&mut self, address: &Address) {
        self.note(address, Who::Gateway);
    }

    pub(crate) fn is_register(&mut self, address: &Address) {
        self.note(address, Who::Register);
    }

    /// It has answered until now.
    pub(crate) fn was_there(&mut self, address: &Address) {
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
            Some((_, Who::Gateway, _)) => return None,
            Some((_, Who::Register, _)) => KNOWN_SILENCE,
            None => SILENCE,
        };
        let most = deadline.saturating_duration_since(Instant::now()) / 3;
        Some((silence + connecting * 4).min(most))
    }

    fn note(&mut self, address: &Address, who: Who) {
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
    pub(crate) fn who(&self, bridge: Watched<Socket>, patience: Option<Duration>) -> Result<Answer, Reason> {
        let Some(patience) = patience else { return Ok(Answer::Gateway(bridge)) };
        wait(Some(&bridge), None, patience)?;
        let is_open = match look(&bridge) {
            Look::Something => return Ok(Answer::Gateway(bridge)),
            Look::Nothing => true,
            Look::End | Look::Broken => false,
        };
        // Where it is slow to connect now, though it was not just before, the first connection is the better hope.
        let soon = self.deadline.min(Instant::now() + patience);
        let register = self.ask(true, soon).ok();
        match register {
            Some(register) => self.race(is_open.then_some(bridge), register, patience),
            None if is_open => Ok(Answer::Gateway(bridge)),
            None => Err(Reason::closed()),
        }
    }

    /// Whoever else could answer.
    pub(crate) fn register_alone(&self) -> Result<Answer, Reason> {
        self.race(None, self.ask(false, self.deadline)?, Duration::ZERO)
    }

    fn ask(&self, is_open: bool, deadline: Instant) -> Result<Asked, Reason> {
        let secret = std::str::from_utf8(self.secret).map_err(|_| Reason::SecretIsNotText)?.to_owned();
        let socket = dial::connect(self.place, deadline)?;
        // The line is short, and the socket empty.
        (&*socket).write_all(&register_line::greeting(&secret))?;
        Ok(Asked { socket, inbox: Inbox::default(), secret, is_open })
    }

    fn call_again(&self) -> Result<Watched<Socket>, Reason> {
        let socket = dial::connect(self.place, self.deadline)?;
        (&*socket).write_all(&PREFACE)?;
        Ok(socket)
    }

    fn race(
        &self,
        mut bridge: Option<Watched<Socket>>,
        asked: Asked,
        patience: Duration,
    ) -> Result<Answer, Reason> {
        let mut deadline = self.deadline;
        let mut asked = Some(asked);
        let mut was_refused = false;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(if was_refused { Reason::RegisterRefused } else { Failed::Timeout.into() });
            }
            wait(bridge.as_deref(), asked.as_ref().map(|asked| &*asked.socket), left)?;
            bridge = match bridge.map(|bridge| (look(&bridge), bridge)) {
                Some((Look::Something, bridge)) => return Ok(Answer::Gateway(bridge)),
                Some((Look::Nothing, bridge)) => Some(bridge),
                Some((Look::End | Look::Broken, _)) | None => None,
            };
            match asked.take().map(Asked::read) {
                Some(Heard::Nothing(still)) => asked = Some(still),
                Some(Heard::Answer(asked, News::Gateways(gateways))) => {
                    let Asked { socket, inbox, secret, .. } = asked;
                    let place = self.place.clone();
                    let found = Found { place, socket, inbox, gateways, secret, bridge };
                    return Ok(Answer::Register(Box::new(found)));
                }
                // It was slow, or its connection was lost on the way.
                Some(Heard::Answer(_, News::Replaced)) => {
                    return bridge.map_or_else(|| self.call_again(), Ok).map(Answer::Gateway);
                }
                Some(Heard::Stranger(stranger)) => return Err(Reason::Stranger(stranger)),
                Some(Heard::Answer(_, News::Nonsense(why))) => return Err(Reason::NotAGateway(why)),
                Some(Heard::Answer(..) | Heard::End) => {
                    was_refused = true;
                    deadline = deadline.min(Instant::now() + patience);
                }
                // Somebody who does not understand the line, such as a gateway of ours without GatewayWorker's protocols.
                Some(Heard::Broken) | None => {}
            }
            if bridge.is_none() && asked.is_none() {
                return Err(if was_refused { Reason::RegisterRefused } else { Reason::closed() });
            }
        }
    }
}

/// A connection on which a register was asked.
struct Asked {
    socket: Watched<Socket>,
    inbox: Inbox,
    secret: String,
    /// It may turn out to be a gateway of ours.
    is_open: bool,
}

enum Heard {
    Nothing(Asked),
    Answer(Asked, News),
    Stranger(Stranger),
    End,
    Broken,
}

impl Asked {
    /// If there is something to read.
    fn read(mut self) -> Heard {
        match look(&self.socket) {
            Look::Nothing => Heard::Nothing(self),
            Look::End => Heard::End,
            Look::Broken => Heard::Broken,
            Look::Something => match self.inbox.fill(&mut &*self.socket) {
                Ok(1..) => {
                    if let Some(stranger) = Stranger::by_its_words(self.inbox.unread()) {
                        return Heard::Stranger(stranger);
                    }
                    match register_line::newest(&mut self.inbox, self.is_open) {
                        Some(news) => Heard::Answer(self, news),
                        None => Heard::Nothing(self),
                    }
                }
                Ok(0) => Heard::End,
                Err(_) => Heard::Broken,
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
        known.is_register(&here);
        assert_eq!(patience(&known, &here), Some(14));
        known.is_gateway(&here);
        assert_eq!(patience(&known, &here), None);
        assert_eq!(patience(&known, &Address::parse(b"127.0.0.1:1238").unwrap()), Some(104));
        assert_eq!(patience(&known, &Address::parse(b"unix:///run/gateway").unwrap()), None);
        let hurried = Instant::now() + Duration::from_millis(30);
        assert!(
            DetectionCache::default().patience(&here, Duration::ZERO, hurried).unwrap().as_millis() <= 10
        );
    }
}
