//! A cluster of GatewayWorker's own gateways, spoken to in its own protocols, behind the same face as our gateway.
//!
//! Calls come out of the same queue and are settled in it. One connection leads to the register and one to each gateway.
//! A call is settled once every gateway that it concerns has confirmed it (see `unacked`), or is lost; what a lost gateway
//! had not confirmed is told of, and never sent twice.
//!
//! ```text
//! Queue ─▶ orders, questions ─▶ Gateway: Connection ─▶ its internal port
//!   ▲                             │  ▲
//!   └── settled ◀─ unacked, aggregate ┘  └── Register: which gateways there are
//! ```

mod aggregate;
mod calls;
mod connection;
mod epoll;
mod gateway;
mod orders;
mod questions;
mod register;
mod replies;
mod unacked;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use gateway_wire::bridge::AnswerValue;
use socket2::{SockAddr, Socket};

use crate::error::describe;
use crate::fork::Watched;
use crate::inbox::Inbox;
use crate::poll::{self, Interest};
use crate::queue::Queue;
use crate::{Address, Protocol, Target};
use epoll::{Epoll, Ready};
use gateway::Gateway;
use register::Register;
use replies::Open;
use unacked::{Asked, Unsettled};

pub(crate) use register::{News, greeting, newest};

/// While so many bytes wait for a gateway, no more calls are taken.
const HIGH: usize = 256 << 10;
/// How long a gateway may stand still while calls for others wait for it.
const STALL: Duration = Duration::from_secs(10);
/// How long it may be silent otherwise. One that sends a message to very many clients does nothing else meanwhile.
const SILENCE: Duration = Duration::from_secs(60);
/// Lasting so long makes a session a good one.
const GOOD: Duration = Duration::from_secs(1);

pub(crate) struct Session {
    pub(crate) address: Address,
    /// The program knows other registers too.
    has_others: bool,
    secret: String,
    epoll: Epoll,
    register: Register,
    gateways: BTreeMap<SocketAddrV4, Gateway>,
    /// Questions that wait for replies.
    open: Vec<Open>,
    /// The number of the last call taken, and of the last that is settled with all before it.
    taken: u64,
    settled: u64,
    /// Why no more calls are taken: the session ends once what was taken is settled.
    ending: Option<String>,
    /// gateway-server answers at the register's address.
    is_replaced: bool,
    /// Calls wait, and cannot be taken.
    full: bool,
    events: Vec<SessionEvent>,
    /// Orders that gateways did not get, or perhaps did not, and why.
    lost: BTreeMap<SocketAddrV4, (u64, String)>,
    since: Instant,
    packet: Vec<u8>,
}

/// What became of calls.
#[derive(Debug)]
pub(crate) enum SessionEvent {
    /// All calls up to this one.
    Settled(u64),
    Answer {
        seq: u64,
        answer: Result<AnswerValue, String>,
    },
    /// An order that GatewayWorker's protocol cannot carry.
    Refused(String),
    /// Orders that a gateway did not get, or perhaps did not.
    Lost {
        calls: u64,
        gateway: SocketAddrV4,
        why: String,
    },
    /// An answer lacks what some gateways know.
    Partial(String),
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

impl Session {
    /// Connects to the gateways, and is up when one of them has answered. Waits until the others have too, at most until
    /// `deadline`. The error is in words.
    pub(crate) fn open(
        address: Address,
        target: &Target,
        found: Found,
        deadline: Instant,
    ) -> Result<Self, String> {
        let Found { place, socket, inbox, gateways, secret, bridge } = found;
        if gateways.is_empty() {
            return Err("no gateway has told the register of itself".to_owned());
        }
        let words = |error| describe(&error);
        socket.set_nonblocking(true).map_err(words)?;
        let epoll = Epoll::new().map_err(words)?;
        let probes = target.protocol() == Protocol::Auto;
        let told = register::Told { place, greeting: greeting(&secret), probes };
        let register = Register::new(&epoll, told, socket, inbox, bridge).map_err(words)?;
        let mut session = Self {
            address,
            has_others: target.addresses().len() > 1,
            secret,
            epoll,
            register,
            gateways: BTreeMap::new(),
            open: Vec::new(),
            taken: 0,
            settled: 0,
            ending: None,
            is_replaced: false,
            full: false,
            events: Vec::new(),
            lost: BTreeMap::new(),
            since: Instant::now(),
            packet: Vec::new(),
        };
        session.learn(gateways, Some(deadline));
        session.await_gateways();
        if session.gateways.values().any(Gateway::is_up) { Ok(session) } else { Err(session.all_down()) }
    }

    /// One that is slow is not waited for when others are there; it counts as down until it answers.
    fn await_gateways(&mut self) {
        let begun = Instant::now();
        let soon = |gateways: &BTreeMap<_, Gateway>| {
            let some = gateways.values().any(Gateway::is_up);
            some.then(|| gateway::CONNECT.saturating_sub(begun.elapsed()))
        };
        while self.gateways.values().any(Gateway::is_awaited) {
            let patience = soon(&self.gateways);
            if patience.is_some_and(|patience| patience.is_zero()) {
                self.gateways.values_mut().for_each(Gateway::goes_on_alone);
                break;
            }
            let socket = Some((self.epoll.as_raw_fd(), Interest { input: true, output: false }));
            // Fails only for want of memory, and then the next round tries again.
            let _ = poll::wait(None, socket, self.until_timeout().into_iter().chain(patience).min());
            self.listen();
            self.flush();
            self.keep_time();
        }
    }

    /// Takes calls, and does all that can be done without waiting. Gives whether something was heard. An error is the
    /// session's end, and leaves no call that was taken unsettled.
    pub(crate) fn exchange(&mut self, queue: &mut Queue) -> Result<bool, String> {
        let heard = self.listen();
        while queue.has_unsent() && self.takes_calls() {
            let Ok(taken) = queue.write(|slices| Ok::<_, Infallible>(self.take_frames(slices)));
            if taken == 0 {
                break;
            }
        }
        self.flush();
        self.keep_time();
        self.full = queue.has_unsent() && !self.takes_calls();
        self.settle();
        if let Some(why) = self.ending.as_ref().filter(|_| self.settled == self.taken) {
            return Err(why.clone());
        }
        if self.gateways.values().any(|gateway| gateway.is_up() || gateway.is_awaited()) {
            Ok(heard)
        } else {
            Err(self.all_down())
        }
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty() || !self.lost.is_empty()
    }

    /// In the order in which PHP may look: trouble stands before what is settled by it, and that before the answer that
    /// settled it.
    pub(crate) fn events(&mut self) -> Vec<SessionEvent> {
        let lost = std::mem::take(&mut self.lost).into_iter();
        let lost = lost.map(|(gateway, (calls, why))| SessionEvent::Lost { calls, gateway, why });
        self.events.extend(lost);
        self.events.sort_by_key(|event| match event {
            SessionEvent::Lost { .. } | SessionEvent::Refused(_) | SessionEvent::Partial(_) => 0,
            SessionEvent::Settled(_) => 1,
            SessionEvent::Answer { .. } => 2,
        });
        std::mem::take(&mut self.events)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) fn was_good(&self) -> bool {
        self.settled > 0 || self.since.elapsed() >= GOOD
    }

    pub(crate) fn is_replaced(&self) -> bool {
        self.is_replaced
    }

    /// How long nothing has to be done, unless something happens.
    pub(crate) fn until_timeout(&self) -> Option<Duration> {
        let patience = self.patience();
        let due =
            self.gateways.values().filter_map(|gateway| gateway.due(patience)).chain(self.register.due());
        due.min().map(|due| due.saturating_duration_since(Instant::now()))
    }

    fn patience(&self) -> Duration {
        if self.full { STALL } else { SILENCE }
    }

    fn takes_calls(&self) -> bool {
        self.ending.is_none()
            && self.gateways.values().all(|gateway| !gateway.is_awaited() && gateway.backlog() < HIGH)
    }

    /// Writes what there is to write.
    fn flush(&mut self) {
        let mut lost = Vec::new();
        for (node, gateway) in &mut self.gateways {
            if let Some(line) = gateway.up() {
                line.seal();
            }
            if let Some(line) = gateway.connection()
                && let Err(why) = line.flush(&self.epoll)
            {
                lost.push((*node, why));
            }
        }
        self.lose(lost);
    }

    /// Reads what there is to read. Gives whether there was something.
    fn listen(&mut self) -> bool {
        let mut heard = false;
        let mut lost = Vec::new();
        for ready in self.epoll.ready() {
            match ready.token {
                register::TOKEN | register::PROBE => {
                    if let Some(news) = self.register.ready(&self.epoll, ready) {
                        self.news(news);
                    }
                }
                token => {
                    let node = Gateway::by_token(token);
                    match self.hear(node, ready) {
                        Ok(did) => heard |= did,
                        Err(why) => lost.push((node, why)),
                    }
                }
            }
        }
        heard |= !lost.is_empty();
        self.lose(lost);
        heard
    }

    fn hear(&mut self, node: SocketAddrV4, ready: Ready) -> Result<bool, String> {
        let Some(gateway) = self.gateways.get_mut(&node) else { return Ok(false) };
        let Some(line) = gateway.connection() else { return Ok(false) };
        if ready.output {
            line.unblock(&self.epoll)?;
        }
        let heard = line.fill();
        let mut replied = false;
        while let Some((asked, reply)) = line.reply()? {
            replied = true;
            let Asked::ByCall { seq, part } = asked else { continue };
            let Some(index) = self.open.iter().position(|open| open.seq == seq) else { continue };
            if let Err(error) = self.open[index].take(node, part, reply) {
                self.open[index].lacks(node, &error.to_string());
                self.events.extend(replies::close(&mut self.open, index));
                // Whatever follows may answer something else than is thought.
                return Err(error.to_string());
            }
            self.events.extend(replies::close(&mut self.open, index));
        }
        if replied {
            gateway.is_there();
        }
        heard
    }

    fn news(&mut self, news: News) {
        match news {
            News::Gateways(gateways) => self.learn(gateways, None),
            News::Nonsense(why) => self.end(why),
            // Gateways tell of themselves to every register that they can reach.
            News::Lost if self.has_others => {
                self.end("the register was lost, and there are others".to_owned())
            }
            News::Lost => {}
            News::Replaced => {
                self.is_replaced = true;
                self.end("gateway-server answers in the register's place".to_owned());
            }
        }
    }

    fn end(&mut self, why: String) {
        self.ending.get_or_insert(why);
    }

    /// The register's list. A gateway that is not on it stays for as long as its connection does: after a restart the
    /// register learns of the gateways one by one.
    fn learn(&mut self, listed: Vec<SocketAddrV4>, bound: Option<Instant>) {
        for (node, gateway) in &mut self.gateways {
            gateway.is_listed = listed.contains(node);
        }
        self.gateways.retain(|_, gateway| gateway.is_listed || !gateway.is_down());
        for node in listed {
            let gateway = self.gateways.entry(node).or_insert_with(|| Gateway::new(node, true));
            if gateway.is_down() {
                gateway.connect(&self.epoll, &self.secret, true, bound);
            }
        }
    }

    fn lose(&mut self, lost: Vec<(SocketAddrV4, String)>) {
        for (node, why) in lost {
            let Some(gateway) = self.gateways.get_mut(&node) else { continue };
            let Unsettled { orders, questions } = gateway.lose(&self.epoll, &self.secret, why.clone());
            if gateway.is_down() && !gateway.is_listed {
                self.gateways.remove(&node);
            }
            if orders > 0 {
                self.lost(node, orders, why.clone());
            }
            for seq in questions {
                if let Some(index) = self.open.iter().position(|open| open.seq == seq) {
                    self.open[index].lost(node, &why);
                    self.events.extend(replies::close(&mut self.open, index));
                }
            }
        }
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        self.register.keep_time(&self.epoll, now);
        let patience = self.patience();
        let mut lost = Vec::new();
        for (node, gateway) in &mut self.gateways {
            if gateway.due(patience).is_none_or(|due| due > now) {
                continue;
            }
            if gateway.is_down() {
                gateway.connect(&self.epoll, &self.secret, false, None);
            } else {
                lost.push((*node, "it does not answer".to_owned()));
            }
        }
        self.lose(lost);
    }

    fn settle(&mut self) {
        let unsettled = self.gateways.values().filter_map(Gateway::first_unsettled).min();
        let settled = unsettled.map_or(self.taken, |first| first - 1);
        if settled > self.settled {
            self.settled = settled;
            self.events.push(SessionEvent::Settled(settled));
        }
    }

    fn all_down(&self) -> String {
        let mut why = String::from("no gateway can be reached");
        for (node, gateway) in self.gateways.iter().take(8) {
            why.push_str(&format!(", {node}: {}", gateway.why));
        }
        why
    }
}

/// The rest holds the secret, here and there.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("address", &self.address).finish_non_exhaustive()
    }
}

impl AsRawFd for Session {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}
