//! A session with a cluster of GatewayWorker's gateways: it takes calls, keeps the connections, and tells what became of the
//! calls.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io::IoSlice;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use gateway_wire::bridge::frame::{self, HEADER, MAX_CALL};

use super::epoll::Epoll;
use super::fanout::Fanout;
use super::gateway::{CONNECT_TIMEOUT, ClusterGateway};
use super::gateway_conn::MAX_SILENCE;
use super::register_conn::{self, RegisterConn};
use super::session_event::SessionEvent;
use super::unacked::UnfinishedCalls;
use crate::address::Address;
use crate::detect::FoundRegister;
use crate::error::describe;
use crate::poll::{self, Interest};
use crate::queue::CallQueue;
use crate::register_line::{RegisterUpdate, greeting};
use crate::target::{GatewayProtocol, Target};

/// A gateway may send nothing for so long while calls for others wait for it.
const MAX_STALL: Duration = Duration::from_secs(10);
/// A session that lasted so long was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct ClusterSession {
    /// The register's address, as the program gave it.
    pub(crate) address: Address,
    /// The program knows other registers too.
    has_others: bool,
    secret: String,
    epoll: Epoll,
    register: RegisterConn,
    fanout: Fanout,
    /// The number of the last call that is done with all before it.
    last_done: u64,
    /// Why no more calls are taken, in words: the session ends once the calls that were taken are done.
    ending: Option<String>,
    /// gateway-server answers at the register's address.
    is_replaced: bool,
    /// Calls wait and cannot be taken.
    full: bool,
    since: Instant,
}

impl ClusterSession {
    /// Connects to the gateways, and succeeds when one of them has replied. Waits for the others too, at most until `deadline`.
    /// The error is in words.
    pub(crate) fn open(
        address: Address,
        target: &Target,
        found: FoundRegister,
        deadline: Instant,
    ) -> Result<Self, String> {
        let FoundRegister { socket_address, socket, buffer, gateways, secret, bridge } = found;
        if gateways.is_empty() {
            return Err("no gateway has told the register of itself".to_owned());
        }
        let words = |error| describe(&error);
        socket.set_nonblocking(true).map_err(words)?;
        let epoll = Epoll::new().map_err(words)?;
        let probes = target.protocol() == GatewayProtocol::Auto;
        let register_target =
            register_conn::RegisterTarget { socket_address, greeting: greeting(&secret), probes };
        let register = RegisterConn::new(&epoll, register_target, socket, buffer, bridge).map_err(words)?;
        let mut session = Self {
            address,
            has_others: target.addresses().len() > 1,
            secret,
            epoll,
            register,
            fanout: Fanout::default(),
            last_done: 0,
            ending: None,
            is_replaced: false,
            full: false,
            since: Instant::now(),
        };
        session.apply_list(gateways, Some(deadline));
        session.await_gateways();
        if session.fanout.gateways.values().any(ClusterGateway::is_up) {
            Ok(session)
        } else {
            Err(session.all_down())
        }
    }

    /// Waits for the gateways to reply. Once one has, a slow one is not waited for; it counts as down until it replies.
    fn await_gateways(&mut self) {
        let begun = Instant::now();
        let soon = |gateways: &BTreeMap<_, ClusterGateway>| {
            let some = gateways.values().any(ClusterGateway::is_up);
            some.then(|| CONNECT_TIMEOUT.saturating_sub(begun.elapsed()))
        };
        while self.fanout.gateways.values().any(ClusterGateway::is_awaited) {
            let patience = soon(&self.fanout.gateways);
            if patience.is_some_and(|patience| patience.is_zero()) {
                self.fanout.gateways.values_mut().for_each(ClusterGateway::stop_awaiting);
                break;
            }
            let socket = Some((self.epoll.as_raw_fd(), Interest { input: true, output: false }));
            // The wait fails only for want of memory, and then the next round tries again.
            let _ = poll::wait(None, socket, self.until_timeout().into_iter().chain(patience).min());
            self.read();
            self.flush();
            self.check_deadlines();
        }
    }

    /// Takes calls, and does all that can be done without waiting. Gives whether something arrived. An error ends the session,
    /// and then every call that was taken is done.
    pub(crate) fn exchange(&mut self, queue: &mut CallQueue) -> Result<bool, String> {
        let heard = self.read();
        while queue.has_unsent() && self.takes_calls() {
            let Ok(taken) = queue.write(|slices| Ok::<_, Infallible>(self.take_frames(slices)));
            if taken == 0 {
                break;
            }
        }
        self.flush();
        self.check_deadlines();
        self.full = queue.has_unsent() && !self.takes_calls();
        self.report_done();
        if let Some(why) = self.ending.as_ref().filter(|_| self.last_done == self.fanout.last_taken) {
            return Err(why.clone());
        }
        if self.fanout.gateways.values().any(|gateway| gateway.is_up() || gateway.is_awaited()) {
            Ok(heard)
        } else {
            Err(self.all_down())
        }
    }

    pub(crate) fn has_events(&self) -> bool {
        self.fanout.has_events()
    }

    /// Takes the events out, in the order in which PHP may see them.
    pub(crate) fn take_events(&mut self) -> Vec<SessionEvent> {
        self.fanout.take_events()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) fn was_good(&self) -> bool {
        self.last_done > 0 || self.since.elapsed() >= GOOD_AFTER
    }

    pub(crate) fn is_replaced(&self) -> bool {
        self.is_replaced
    }

    /// How long the session has nothing to do, unless something arrives.
    pub(crate) fn until_timeout(&self) -> Option<Duration> {
        let patience = self.patience();
        let due = self
            .fanout
            .gateways
            .values()
            .filter_map(|gateway| gateway.due(patience))
            .chain(self.register.due());
        due.min().map(|due| due.saturating_duration_since(Instant::now()))
    }

    fn patience(&self) -> Duration {
        if self.full { MAX_STALL } else { MAX_SILENCE }
    }

    fn takes_calls(&self) -> bool {
        self.ending.is_none() && self.fanout.takes_calls()
    }

    /// Takes whole calls, as the queue keeps them. Gives how many of the bytes were taken.
    fn take_frames(&mut self, slices: &[IoSlice]) -> usize {
        let mut taken = 0;
        for slice in slices {
            let mut bytes: &[u8] = slice;
            while !bytes.is_empty() {
                if !self.takes_calls() {
                    return taken;
                }
                let Ok(Some(length)) = frame::content_length(bytes, MAX_CALL) else {
                    self.ending = Some("a call in the queue cannot be read".to_owned());
                    return taken;
                };
                let (call, rest) = bytes.split_at(HEADER + length);
                if let Err(why) = self.fanout.take(&call[HEADER..]) {
                    self.ending = Some(why);
                }
                taken += call.len();
                bytes = rest;
            }
        }
        taken
    }

    /// Writes what is queued for each gateway.
    fn flush(&mut self) {
        let mut lost = Vec::new();
        for (node, gateway) in &mut self.fanout.gateways {
            if let Some(connection) = gateway.up() {
                connection.request_confirmation();
            }
            if let Some(connection) = gateway.connection()
                && let Err(why) = connection.flush(&self.epoll)
            {
                lost.push((*node, why));
            }
        }
        self.lose(lost);
    }

    /// Reads what has arrived. Gives whether something had.
    fn read(&mut self) -> bool {
        let mut heard = false;
        let mut lost = Vec::new();
        for ready in self.epoll.ready() {
            match ready.token {
                register_conn::REGISTER_TOKEN | register_conn::PROBE_TOKEN => {
                    if let Some(update) = self.register.ready(&self.epoll, ready) {
                        self.handle_update(update);
                    }
                }
                token => {
                    let node = ClusterGateway::address_of(token);
                    match self.fanout.read(&self.epoll, node, ready) {
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

    fn handle_update(&mut self, update: RegisterUpdate) {
        match update {
            RegisterUpdate::Gateways(gateways) => self.apply_list(gateways, None),
            RegisterUpdate::Malformed(why) => self.end(why),
            // Every gateway registers with each register that it can reach.
            RegisterUpdate::Lost if self.has_others => {
                self.end("the register was lost, and there are others".to_owned())
            }
            RegisterUpdate::Lost => {}
            RegisterUpdate::Replaced => {
                self.is_replaced = true;
                self.end("gateway-server answers in the register's place".to_owned());
            }
        }
    }

    fn end(&mut self, why: String) {
        self.ending.get_or_insert(why);
    }

    /// Follows the register's list. A gateway that is not on it stays for as long as its connection does: after a restart the
    /// register learns of the gateways one by one.
    fn apply_list(&mut self, listed: Vec<SocketAddrV4>, bound: Option<Instant>) {
        for (node, gateway) in &mut self.fanout.gateways {
            gateway.is_listed = listed.contains(node);
        }
        self.fanout.gateways.retain(|_, gateway| gateway.is_listed || !gateway.is_down());
        for node in listed {
            let gateway = self.fanout.gateways.entry(node).or_insert_with(|| ClusterGateway::new(node, true));
            if gateway.is_down() {
                gateway.connect(&self.epoll, &self.secret, true, bound);
            }
        }
    }

    fn lose(&mut self, lost: Vec<(SocketAddrV4, String)>) {
        for (node, why) in lost {
            let Some(gateway) = self.fanout.gateways.get_mut(&node) else { continue };
            let UnfinishedCalls { orders, queries } = gateway.lose(&self.epoll, &self.secret, why.clone());
            if gateway.is_down() && !gateway.is_listed {
                self.fanout.gateways.remove(&node);
            }
            self.fanout.lost(node, orders, &queries, &why);
        }
    }

    fn check_deadlines(&mut self) {
        let now = Instant::now();
        self.register.check_deadlines(&self.epoll, now);
        let patience = self.patience();
        let mut lost = Vec::new();
        for (node, gateway) in &mut self.fanout.gateways {
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

    /// Reports the calls that are done since the last time.
    fn report_done(&mut self) {
        let done = self.fanout.last_done();
        if done > self.last_done {
            self.last_done = done;
            self.fanout.add_event(SessionEvent::Done(done));
        }
    }

    fn all_down(&self) -> String {
        let mut why = String::from("no gateway can be reached");
        for (node, gateway) in self.fanout.gateways.iter().take(8) {
            why.push_str(&format!(", {node}: {}", gateway.why));
        }
        why
    }
}

/// Only the address is shown, since other fields hold the secret.
impl fmt::Debug for ClusterSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterSession").field("address", &self.address).finish_non_exhaustive()
    }
}

impl AsRawFd for ClusterSession {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}
