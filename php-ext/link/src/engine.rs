//! The link's state machine: it writes what is queued, reads confirmations and answers, and reconnects.
//!
//! The I/O thread drives it. While the PHP thread waits for an answer it drives the engine itself, which saves waking first one
//! thread and then the other.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gateway_wire::bridge::{Login, Producer, Reply};

use crate::address::Address;
use crate::answer::QueryAnswer;
use crate::backoff::ReconnectBackoff;
use crate::bridge_conn::BridgeConn;
use crate::detect::DetectionCache;
use crate::error::{ConnectError, FailedAttempt, LinkError, Unreachable};
use crate::establish::{self, Established};
use crate::gatewayworker::{ClusterSession, SessionEvent};
use crate::notice::NoticeKind;
use crate::poll::{self, Interest};
use crate::queue::CallQueue;
use crate::reply_reader::ReceivedReply;
use crate::shared::{LinkState, LinkStatus, Shared};
use crate::sync::thread;
use crate::target::Target;

/// When there is nothing to deliver and PHP has not used the link for so long, attempts to connect end.
const KEEP_TRYING_FOR: Duration = Duration::from_secs(60);
/// An attempt gives up at most so much earlier than its caller does.
const HEAD_START: Duration = Duration::from_millis(200);
/// So many connections may be lost one after the other without any call having been confirmed in between, as when a gateway is replaced
/// again and again, before calls fail. Until then they wait.
const MOST_LOSSES: u32 = 4;
/// The PHP thread polls for an answer for so long before it sleeps: waking up takes longer than most answers.
const SPIN: Duration = Duration::from_micros(60);

#[derive(Debug)]
pub(crate) struct Engine {
    shared: Arc<Shared>,
    target: Arc<Target>,
    producer: Producer,
    queue: CallQueue,
    connection: Option<Upstream>,
    /// A gateway that owes a confirmation may be silent for so long, and since when it has been.
    silence: Duration,
    silent_since: Option<Instant>,
    /// Why the connection is of no more use, in words.
    broken: Option<String>,
    backoff: ReconnectBackoff,
    /// The number of connections that were lost while calls waited, since one was of use.
    losses: u32,
    /// No attempt to connect is made before this.
    retry_at: Instant,
    /// Which protocol has answered at which address.
    detection: DetectionCache,
    /// The gateway's words about a frame that it could not read, before it closed the connection.
    complaint: Option<String>,
}

/// The connection that is in use, by protocol.
#[derive(Debug)]
enum Upstream {
    Bridge(BridgeConn),
    GatewayWorker(Box<ClusterSession>),
}

/// The events that the I/O thread may wait for once nothing is left to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitCondition {
    pub(crate) socket: Option<(RawFd, Interest)>,
    pub(crate) timeout: Option<Duration>,
}

impl WaitCondition {
    /// Whether the socket takes no more bytes for now.
    pub(crate) fn is_blocked(self) -> bool {
        self.socket.is_some_and(|(_, interest)| interest.output)
    }
}

impl Engine {
    pub(crate) fn new(
        shared: Arc<Shared>,
        target: Arc<Target>,
        producer: Producer,
        silence: Duration,
    ) -> Self {
        Self {
            shared,
            target,
            producer,
            queue: CallQueue::default(),
            connection: None,
            silence,
            silent_since: None,
            broken: None,
            backoff: ReconnectBackoff::default(),
            losses: 0,
            retry_at: Instant::now(),
            detection: DetectionCache::default(),
            complaint: None,
        }
    }

    /// Starts with a connection that a test has made.
    #[cfg(all(test, feature = "models"))]
    pub(crate) fn connected(self, connection: BridgeConn) -> Self {
        self.shared.change(|state| state.status = LinkStatus::Up);
        Self { connection: Some(Upstream::Bridge(connection)), ..self }
    }

    /// Runs in the I/O thread: does all that can be done without waiting.
    pub(crate) fn run_once(&mut self) -> WaitCondition {
        loop {
            self.exchange();
            if let Some(why) = self.broken.take() {
                self.connection_lost(why);
            }
            let Some(connection) = &self.connection else {
                match self.reconnect() {
                    Some(waiting) => return waiting,
                    None => continue,
                }
            };
            if self.queue.has_unsent() && !connection.is_full() {
                continue;
            }
            let socket = Some((connection.as_raw_fd(), self.interest(connection)));
            return WaitCondition { socket, timeout: self.until_timeout(connection) };
        }
    }

    /// Runs in the PHP thread, which waits: does the I/O itself until `done`, at most until `deadline` or the connection is
    /// lost.
    pub(crate) fn drive(&mut self, deadline: Instant, done: impl Fn(&LinkState) -> bool) {
        let spin_until = Instant::now() + SPIN;
        loop {
            let heard = self.exchange();
            if done(&self.shared.lock()) {
                return;
            }
            let Some(connection) = self.connection.as_ref().filter(|_| self.broken.is_none()) else {
                return;
            };
            let now = Instant::now();
            if now >= deadline {
                return;
            }
            if heard || self.queue.has_unsent() && !connection.is_full() {
                continue;
            }
            if now < spin_until {
                // The process that answers may need this core.
                thread::yield_now();
                continue;
            }
            let socket = Some((connection.as_raw_fd(), self.interest(connection)));
            // The wait fails only for want of memory, and then the next round tries again.
            let rest = self.until_timeout(connection).map_or(deadline - now, |rest| rest.min(deadline - now));
            let _ = poll::wait(None, socket, Some(rest));
        }
    }

    /// Whether all is sent, so that nothing has to be read before the next call.
    pub(crate) fn can_rest(&self) -> bool {
        let connection =
            self.connection.as_ref().filter(|_| self.broken.is_none() && !self.queue.has_unsent());
        connection.is_some_and(|connection| !connection.is_full() && connection.until_timeout().is_none())
    }

    /// Whether nothing is under way that the I/O thread would have to wait for.
    pub(crate) fn is_idle(&self) -> bool {
        let rests = self.connection.as_ref().is_some_and(|connection| connection.until_timeout().is_none());
        self.broken.is_none() && rests && self.queue.is_empty()
    }

    /// Writes once and reads once, as far as the socket allows without waiting. Gives whether something arrived.
    pub(crate) fn exchange(&mut self) -> bool {
        self.queue.collect(&mut self.shared.lock().outgoing);
        let Some(connection) = self.connection.as_mut().filter(|_| self.broken.is_none()) else {
            return false;
        };
        let exchanged = match connection {
            Upstream::Bridge(connection) => {
                let written = connection.write(&mut self.queue);
                // What the gateway has confirmed before it closed the connection has come, even if nothing goes there any more.
                let read = connection.read();
                written.and(read)
            }
            Upstream::GatewayWorker(session) => session.exchange(&mut self.queue),
        };
        if exchanged == Ok(true) {
            self.shared.note_activity();
        }
        self.check_silence(exchanged == Ok(true));
        let result = match exchanged {
            Ok(false) if !self.has_session_events() => return false,
            Ok(_) => self.handle_replies(),
            Err(why) => {
                // Replies that arrived before the error still count.
                self.handle_replies().and(Err(why))
            }
        };
        if let Err(why) = result {
            self.broken.get_or_insert(why);
        }
        // The next exchange may be that of the next call, long after this one.
        if !self.queue.awaits_confirmation() {
            self.silent_since = None;
        }
        true
    }

    /// Marks the connection as broken when a confirmation is owed for too long. The system notices by itself when the other
    /// machine is gone, but that of a gateway that hangs, or of a proxy with nothing behind it, acknowledges every packet.
    fn check_silence(&mut self, has_heard: bool) {
        if !self.queue.awaits_confirmation() || !matches!(self.connection, Some(Upstream::Bridge(_))) {
            self.silent_since = None;
        } else if has_heard || self.silent_since.is_none() {
            self.silent_since = Some(Instant::now());
        } else if self.silent_since.is_some_and(|since| since.elapsed() >= self.silence) {
            let silence = self.silence.as_secs_f64();
            self.broken = Some(format!("the gateway took calls and has said nothing for {silence} s"));
        }
    }

    /// How long the engine has nothing to do, unless something arrives.
    fn until_timeout(&self, connection: &Upstream) -> Option<Duration> {
        let owed = self.silent_since.map(|since| self.silence.saturating_sub(since.elapsed()));
        owed.into_iter().chain(connection.until_timeout()).min()
    }

    fn has_session_events(&self) -> bool {
        matches!(&self.connection, Some(Upstream::GatewayWorker(session)) if session.has_events())
    }

    fn interest(&self, connection: &Upstream) -> Interest {
        if matches!(connection, Upstream::GatewayWorker(_)) {
            // The session's epoll descriptor watches each of its sockets for what is needed.
            return Interest { input: true, output: false };
        }
        Interest { input: !self.queue.is_empty(), output: connection.is_full() }
    }

    /// Handles the replies that have arrived.
    fn handle_replies(&mut self) -> Result<(), String> {
        loop {
            match &mut self.connection {
                Some(Upstream::Bridge(connection)) => {
                    let most = self.shared.max_answer.load(Ordering::Relaxed);
                    match connection.reply(most)? {
                        Some(reply) => self.handle_received(reply)?,
                        None => return Ok(()),
                    }
                }
                Some(Upstream::GatewayWorker(session)) => {
                    for event in session.take_events() {
                        self.handle_session_event(event);
                    }
                    return Ok(());
                }
                None => return Ok(()),
            }
        }
    }

    /// In a cluster an answer confirms only its own query, since the calls before it may have gone to other gateways.
    fn handle_session_event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Done(seq) => self.note_confirmed(seq, None),
            SessionEvent::Answer { seq, answer } => {
                let answer = answer.map_err(|message| {
                    let address = self.target.to_string();
                    LinkError::Unanswered { address, message }
                });
                let answer = answer.map(|value| QueryAnswer::from(&value));
                self.shared.change(|state| state.answer(seq, answer));
            }
            SessionEvent::Refused(why) => self.shared.add_notice(NoticeKind::Refused, 1, why),
            SessionEvent::Lost { calls, gateway, why } => {
                self.shared.add_notice(NoticeKind::Lost(gateway.to_string()), calls, why);
            }
            SessionEvent::Partial(why) => self.shared.add_notice(NoticeKind::Partial, 1, why),
        }
    }

    fn handle_received(&mut self, received: ReceivedReply) -> Result<(), String> {
        match received {
            ReceivedReply::Answer { seq, answer } => self.note_confirmed(seq, Some(Ok(answer))),
            ReceivedReply::TooLarge { seq, length } => {
                let (address, most) =
                    (self.target.to_string(), self.shared.max_answer.load(Ordering::Relaxed));
                self.note_confirmed(seq, Some(Err(LinkError::AnswerTooLarge { address, length, most })));
            }
            ReceivedReply::Other(reply) => return self.handle_reply(reply),
        }
        Ok(())
    }

    fn handle_reply(&mut self, reply: Reply) -> Result<(), String> {
        match reply {
            Reply::Ack { seq } => self.note_confirmed(seq, None),
            // The gateway could not read a call, and closes the connection.
            Reply::Error { seq: 0, message } => {
                self.complaint = Some(message.clone());
                return Err(message);
            }
            Reply::Error { seq, message } if self.queue.is_query(seq) => {
                let address = self.target.to_string();
                self.note_confirmed(seq, Some(Err(LinkError::Refused { address, message })));
            }
            Reply::Error { seq, message } => {
                // The notice is added before the call counts as done: a caller that waits for that reads the notices next.
                if self.queue.was_sent(seq) {
                    self.shared.add_notice(NoticeKind::Refused, 1, message);
                }
                self.note_confirmed(seq, None);
            }
            Reply::Answer { .. } | Reply::Hello { .. } | Reply::Welcome { .. } => {
                return Err("the gateway began a second handshake".to_owned());
            }
        }
        Ok(())
    }

    /// The gateway has handled all calls up to `seq`, and may have answered that one.
    fn note_confirmed(&mut self, seq: u64, answer: Option<Result<QueryAnswer, LinkError>>) {
        let answer = answer.filter(|_| self.queue.was_sent(seq));
        let done = self.queue.confirm(seq);
        if let Some(Upstream::Bridge(connection)) = self.connection.as_mut().filter(|_| done.bytes > 0) {
            connection.proved_useful();
        }
        self.shared.change(|state| {
            state.note_confirmed(done);
            if let Some(answer) = answer {
                state.answer(seq, answer);
            }
        });
    }

    /// Drops the connection. Calls that are not confirmed stay, and are sent again.
    fn connection_lost(&mut self, why: String) {
        let Some(connection) = self.connection.take() else { return };
        let address = connection.address().clone();
        match &connection {
            Upstream::GatewayWorker(session) if session.is_replaced() => {
                self.detection.note_gateway(&address)
            }
            _ => self.detection.still_answers(&address),
        }
        if connection.was_good() {
            self.backoff.reset();
            self.losses = 0;
        }
        drop(connection);
        self.silent_since = None;
        self.retry_at = Instant::now();
        self.shared.change(|state| {
            self.queue.collect(&mut state.outgoing);
            state.connected = None;
            if self.queue.is_empty() {
                state.status = LinkStatus::Idle;
                return;
            }
            self.losses += 1;
            let is_first = self.backoff.is_fresh();
            let pause = self.backoff.next_pause();
            if !is_first {
                self.retry_at += pause;
            }
            if self.losses < MOST_LOSSES {
                state.status = LinkStatus::Connecting;
            } else {
                let failures = vec![FailedAttempt { address, reason: ConnectError::Lost(why) }];
                state.mark_down(Unreachable { failures });
            }
        });
    }

    /// Runs in the PHP thread, which waits: makes the attempt to connect that the state asks for.
    pub(crate) fn connect(&mut self) {
        if self.connection.is_none() {
            // What there is to wait for is the I/O thread's.
            let _ = self.reconnect();
        }
    }

    /// Without a connection: makes an attempt if one is due, and otherwise gives what to wait for.
    fn reconnect(&mut self) -> Option<WaitCondition> {
        let wait = |timeout| Some(WaitCondition { socket: None, timeout });
        let now = Instant::now();
        let mut state = self.shared.lock();
        if state.stop {
            return wait(None);
        }
        let is_due = now >= self.retry_at;
        let is_wanted = match state.status {
            LinkStatus::Connecting | LinkStatus::Down(_) if !is_due => {
                return wait(Some(self.retry_at - now));
            }
            LinkStatus::Connecting => true,
            LinkStatus::Down(_) => {
                !self.queue.is_empty() || now.duration_since(state.last_wanted) < KEEP_TRYING_FOR
            }
            LinkStatus::Idle | LinkStatus::Up => !self.queue.is_empty(),
        };
        if !is_wanted {
            state.status = LinkStatus::Idle;
            return wait(None);
        }
        let bound = state.connect_timeout;
        drop(state);
        // The attempt takes less time than the caller waits, so that the caller gets the reason.
        self.attempt(bound - (bound / 10).min(HEAD_START));
        None
    }

    fn attempt(&mut self, bound: Duration) {
        let reached = establish::attempt(&self.target, Login::PHP, self.producer, bound, &mut self.detection);
        let (connection, applied) = match reached {
            Ok(Established::Bridge(connection, applied)) => (Upstream::Bridge(connection), applied),
            // The last session has finished every call that it had taken.
            Ok(Established::GatewayWorker(session)) => (Upstream::GatewayWorker(session), 0),
            Err(unreachable) => {
                self.retry_at = Instant::now() + self.backoff.next_pause();
                self.shared.change(|state| state.mark_down(unreachable));
                return;
            }
        };
        let mut done = self.queue.rewind(applied);
        if done.orders > 0 {
            // The lost connection did some good after all.
            self.backoff.reset();
            self.losses = 0;
        }
        // The gateway handles calls in order, so the one that it could not read is the first that it has not handled. Sent
        // again, that call would end this connection too.
        let mut unreadable = None;
        if let Some(message) = self.complaint.take()
            && let Some((seq, dropped)) = self.queue.drop_first_sent()
        {
            if dropped.orders > 0 {
                self.shared.add_notice(NoticeKind::Refused, 1, message);
            } else {
                unreadable = Some((seq, message));
            }
            done += dropped;
        }
        let resent = self.queue.orders_to_resend();
        let address = connection.address().clone();
        self.connection = Some(connection);
        self.shared.note_activity();
        self.shared.change(|state| {
            state.note_confirmed(done);
            state.resent += resent;
            state.status = LinkStatus::Up;
            state.connected = Some(address);
            if let Some((seq, message)) = unreadable {
                let address = self.target.to_string();
                state.answer(seq, Err(LinkError::Refused { address, message }));
            }
        });
        if let Err(why) = self.handle_replies() {
            self.broken = Some(why);
        }
    }
}

impl Upstream {
    fn address(&self) -> &Address {
        match self {
            Self::Bridge(connection) => &connection.address,
            Self::GatewayWorker(session) => &session.address,
        }
    }

    fn is_full(&self) -> bool {
        match self {
            Self::Bridge(connection) => connection.is_full(),
            Self::GatewayWorker(session) => session.is_full(),
        }
    }

    fn was_good(&self) -> bool {
        match self {
            Self::Bridge(connection) => connection.was_good(),
            Self::GatewayWorker(session) => session.was_good(),
        }
    }

    /// How long the connection has nothing to do, unless something arrives.
    fn until_timeout(&self) -> Option<Duration> {
        match self {
            Self::Bridge(_) => None,
            Self::GatewayWorker(session) => session.until_timeout(),
        }
    }
}

impl AsRawFd for Upstream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Bridge(connection) => connection.as_raw_fd(),
            Self::GatewayWorker(session) => session.as_raw_fd(),
        }
    }
}
