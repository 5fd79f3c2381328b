//! The caller's end of a link: what PHP's thread hands over, asks and waits for.

use std::cell::{Cell, OnceCell};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, TryLockError};
use std::time::{Duration, Instant};

use gateway_wire::bridge::frame::MAX_REPLY;
use gateway_wire::bridge::{Call, Order, Producer, Query, Request};

use crate::address::Address;
use crate::answer::QueryAnswer;
use crate::engine::Engine;
use crate::error::{LinkError, Unreachable};
use crate::io_thread;
use crate::later_answers::MAX_QUESTIONS;
use crate::notice::Notice;
use crate::poll::Waker;
use crate::question::Question;
use crate::shared::{AwaitedQuery, IoThreadState, LinkState, LinkStatus, Shared};
use crate::sync::{JoinHandle, Mutex, MutexGuard, thread};
use crate::target::Target;

/// Bytes of memory that are kept for encoding the next call.
const SCRATCH_KEPT: usize = 256 << 10;
/// The PHP thread waits so long for the I/O thread to let go of the engine before it leaves the work to it.
const ENGINE_LOCK_WAIT: Duration = Duration::from_micros(50);
/// A batch of orders goes out after so long, whatever the PHP thread does.
const BATCH_DELAY: Duration = Duration::from_micros(500);
/// A batch goes out once it has so many bytes.
const BATCH_BYTES: usize = 32 << 10;
/// A gateway counts as silent once a wait of at least this length was in vain and nothing has arrived since. Calls then wait
/// shortly for it and the ends of requests not at all, until something arrives.
const SILENT_AFTER: Duration = Duration::from_millis(500);
/// A call waits so long for a gateway that counts as silent.
const SILENT_WAIT: Duration = Duration::from_millis(100);

/// The bounds of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    /// Bytes of unconfirmed calls that a link holds. A call may exceed this when no other is queued.
    pub buffer_bytes: usize,
    /// A gateway that owes a confirmation or an answer and sends nothing for so long is given up, and connected to anew.
    pub silence: Duration,
}

/// A link to one target. It is used by one thread, and has an I/O thread of its own from when there is first something to do while PHP
/// does something else: questions alone need none.
#[derive(Debug)]
pub struct Link {
    target: Arc<Target>,
    limits: LinkLimits,
    shared: Arc<Shared>,
    engine: Arc<Mutex<Engine>>,
    /// The I/O thread, once it was started.
    thread: OnceCell<JoinHandle<()>>,
    next_seq: Cell<u64>,
    /// The number of orders that were handed over.
    orders: u64,
    /// How many of these orders the last flush of all links has waited for.
    reported: u64,
    scratch: Vec<u8>,
    /// The value of the activity counter when the first wait in vain began, and the time of that.
    silent_since: Cell<Option<(u64, Instant)>>,
    batching: bool,
    /// Orders wait for [`Link::send_batch`], and the timer runs.
    has_batch: bool,
}

/// The counts of a link's orders since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// The number of orders that were handed over and are not confirmed.
    pub queued: u64,
    /// Bytes of calls, queries included, that are not done yet.
    pub queued_bytes: usize,
    /// The number of orders that the gateway has confirmed.
    pub acked: u64,
    /// The number of orders that were sent again after a lost connection; each took effect once.
    pub resent: u64,
    /// The number of orders that the gateway refused, or that were lost with one of GatewayWorker's gateways.
    pub dropped: u64,
    /// The address of the gateway at the other end, while there is a connection.
    pub connected: Option<Address>,
}

/// The orders that a flush could not get confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unconfirmed {
    /// The number of orders.
    pub calls: u64,
    /// The target, as its addresses read.
    pub target: String,
    /// Why the link is down, in words; `None` when the gateway is just slow.
    pub down: Option<String>,
}

impl Link {
    /// Opens a link, which does nothing until the first call. Fails when the system gives no descriptor or random numbers.
    pub fn new(target: Arc<Target>, limits: LinkLimits) -> Result<Self, LinkError> {
        let failed = |error: io::Error| LinkError::Thread(error.to_string());
        let mut producer = [0; 16];
        getrandom::fill(&mut producer).map_err(|error| LinkError::Thread(error.to_string()))?;
        let shared = Arc::new(Shared::new(Waker::new().map_err(failed)?));
        let engine =
            Engine::new(Arc::clone(&shared), Arc::clone(&target), Producer(producer), limits.silence);
        Ok(Self::with(target, limits, shared, engine))
    }

    /// Makes a link of an engine, which may be connected already.
    pub(crate) fn with(target: Arc<Target>, limits: LinkLimits, shared: Arc<Shared>, engine: Engine) -> Self {
        Self {
            target,
            limits,
            shared,
            engine: Arc::new(Mutex::new(engine)),
            thread: OnceCell::new(),
            next_seq: Cell::new(1),
            orders: 0,
            reported: 0,
            scratch: Vec::new(),
            silent_since: Cell::new(None),
            batching: false,
            has_batch: false,
        }
    }

    /// Starts the I/O thread, unless it was. Fails when the system gives no thread.
    fn start_io_thread(&self) -> Result<(), LinkError> {
        if self.thread.get().is_some() {
            return Ok(());
        }
        let (shared, target) = (Arc::clone(&self.shared), Arc::clone(&self.target));
        let thread = io_thread::start(shared, target, Arc::clone(&self.engine));
        let thread = thread.map_err(|error| LinkError::Thread(error.to_string()))?;
        // Only the thread that uses the link comes here.
        let _ = self.thread.set(thread);
        Ok(())
    }

    /// Has the I/O thread look at the state, which it does also when it starts. Without a thread the next call tries again to get one.
    fn leave_to_io_thread(&self, state: MutexGuard<'_, LinkState>) {
        if self.thread.get().is_some() {
            self.shared.wake_io_thread(state);
        } else {
            drop(state);
            let _ = self.start_io_thread();
        }
    }

    /// The target that the link was opened for.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Hands an order over. It is delivered in order, and kept until it is confirmed. This waits, at most for `timeout`, only
    /// for a first connection or for room in the buffer.
    pub fn order(&mut self, order: Order<'_>, timeout: Duration) -> Result<(), LinkError> {
        self.encode(Call::Order(order))?;
        let mut state = self.wait_for_room(timeout)?;
        if self.thread.get().is_none() {
            drop(state);
            self.start_io_thread()?;
            state = self.wait_for_room(timeout)?;
        }
        let is_first = state.outgoing.is_empty();
        self.enqueue(&mut state, false);
        let (is_asleep, bytes) = (state.io_thread == IoThreadState::Asleep, state.outgoing.bytes());
        if is_asleep && !self.batching {
            self.shared.wake_io_thread(state);
        } else {
            drop(state);
        }
        self.orders += 1;
        if is_asleep && self.batching {
            self.add_to_batch(is_first, bytes);
        }
        Ok(())
    }

    /// Counts an order as part of the batch.
    fn add_to_batch(&mut self, is_first: bool, bytes: usize) {
        if is_first {
            self.shared.wake.wake_after(BATCH_DELAY);
            self.has_batch = true;
        }
        if bytes >= BATCH_BYTES {
            self.send_batch();
        }
    }

    /// Chooses whether orders are batched from now on for [`Link::send_batch`], which the caller calls soon. Then many go out
    /// by one write, and no thread is woken for them.
    pub(crate) fn set_batching(&mut self, batching: bool) {
        if batching == self.batching {
            return;
        }
        if !batching {
            self.batching = false;
            self.run_once(Engine::is_idle);
        } else if let Ok(is_new) = self.shared.wake.add_timer() {
            self.batching = true;
            if is_new {
                self.shared.wake_io_thread(self.shared.lock());
            }
        }
    }

    /// Sends the batch.
    pub(crate) fn send_batch(&mut self) {
        if self.has_batch {
            self.run_once(Engine::can_rest);
        }
    }

    /// Writes and reads as far as the socket allows without waiting. The I/O thread does the rest, unless `can_rest` says that
    /// none is left.
    fn run_once(&mut self, can_rest: impl Fn(&Engine) -> bool) {
        if std::mem::take(&mut self.has_batch) {
            self.shared.wake.wake_after(Duration::ZERO);
        }
        self.with_engine(|engine| {
            engine.exchange();
            can_rest(engine)
        });
    }

    /// Sends a query and waits for its answer, at most for `timeout`.
    pub fn query(&mut self, query: Query<'_>, timeout: Duration) -> Result<QueryAnswer, LinkError> {
        self.query_within(query, timeout, MAX_REPLY)
    }

    /// Does the same for an answer of `most` bytes at most. A larger answer is an error, and takes no memory.
    pub fn query_within(
        &mut self,
        query: Query<'_>,
        timeout: Duration,
        most: usize,
    ) -> Result<QueryAnswer, LinkError> {
        let begun = self.start_wait();
        self.shared.max_answer.store(most, Ordering::Relaxed);
        let deadline = begun.1 + timeout;
        self.encode(Call::Query(query))?;
        let mut state = self.wait_for_room(timeout)?;
        state.awaited = Some(AwaitedQuery { seq: self.enqueue(&mut state, true), answer: None });
        let is_answered =
            |state: &LinkState| state.awaited.as_ref().is_none_or(|awaited| awaited.answer.is_some());
        let mut waited = timeout;
        if self.is_silent() {
            // Once anything arrives, the gateway is there again and gets the whole time.
            let has_come = |state: &LinkState| is_answered(state) || self.shared.activity() != begun.0;
            let probe = deadline.min(begun.1 + SILENT_WAIT);
            self.drive(state, probe, has_come);
            let (checked, come) = self.shared.wait(probe, |state| has_come(state).then_some(()));
            state = checked;
            if come.is_none() {
                waited = SILENT_WAIT.min(timeout);
            }
        }
        let deadline = begun.1 + waited;
        self.drive(state, deadline, is_answered);
        let (mut state, answer) = self
            .shared
            .wait(deadline, |state| state.awaited.as_mut().and_then(|awaited| awaited.answer.take()));
        state.awaited = None;
        let address = || self.target.to_string();
        match answer {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(error),
            None => match &state.status {
                LinkStatus::Down(reason) => Err(LinkError::Unreachable(reason.clone())),
                _ => match self.note_silent_wait(begun) {
                    Some(silent) if waited < timeout => {
                        Err(LinkError::Silent { address: address(), silent, waited })
                    }
                    _ => Err(LinkError::NoAnswer { address: address(), waited }),
                },
            },
        }
    }

    /// Sends a query whose answer is taken later, of `most` bytes at most and within `timeout`. This waits, at most for `timeout`,
    /// only for a first connection or for room in the buffer.
    pub fn ask(&mut self, query: Query<'_>, timeout: Duration, most: usize) -> Result<Question, LinkError> {
        self.shared.max_answer.store(most, Ordering::Relaxed);
        self.encode(Call::Query(query))?;
        let mut state = self.wait_for_room(timeout)?;
        if !state.later.has_room() {
            return Err(LinkError::TooManyQuestions {
                address: self.target.to_string(),
                open: MAX_QUESTIONS,
            });
        }
        let seq = self.enqueue(&mut state, true);
        state.later.expect(seq);
        self.leave_to_io_thread(state);
        Ok(Question::new(Arc::clone(&self.shared), Arc::clone(&self.target), seq, timeout))
    }

    /// Waits, at most for `timeout`, until every order is confirmed. Gives what is left when that does not happen.
    pub fn flush(&self, timeout: Duration) -> Option<Unconfirmed> {
        let begun = self.start_wait();
        let orders = self.orders;
        let deadline = begun.1 + timeout;
        let state = self.shared.lock();
        if state.confirmed == orders {
            return None;
        }
        if timeout.is_zero() {
            drop(state);
        } else {
            self.drive(state, deadline, |state| state.confirmed == orders);
        }
        let (state, done) = self.shared.wait(deadline, |state| (state.confirmed == orders).then_some(()));
        if done.is_some() {
            return None;
        }
        self.note_silent_wait(begun);
        let down = match &state.status {
            LinkStatus::Up => None,
            LinkStatus::Down(reason) => Some(reason.to_string()),
            LinkStatus::Idle | LinkStatus::Connecting => Some("the connection was lost".to_owned()),
        };
        Some(Unconfirmed { calls: orders - state.confirmed, target: self.target.to_string(), down })
    }

    /// Does the same, but does not wait for a gateway that counts as silent.
    pub(crate) fn flush_unless_silent(&self, timeout: Duration) -> Option<Unconfirmed> {
        if self.is_silent() {
            self.with_engine(|engine| {
                engine.exchange();
                engine.is_idle()
            });
        }
        self.flush(if self.is_silent() { Duration::ZERO } else { timeout })
    }

    /// Gives the activity counter and the time at which a wait begins.
    fn start_wait(&self) -> (u64, Instant) {
        (self.shared.activity(), Instant::now())
    }

    /// Notes that a wait was in vain, and gives for how long nothing has arrived; `None` when something has.
    fn note_silent_wait(&self, begun: (u64, Instant)) -> Option<Duration> {
        let (heard, first) = match self.silent_since.get() {
            Some(earlier) if earlier.0 == begun.0 => earlier,
            _ => begun,
        };
        if heard != self.shared.activity() {
            return None;
        }
        self.silent_since.set(Some((heard, first)));
        Some(first.elapsed())
    }

    fn is_silent(&self) -> bool {
        self.silent_since
            .get()
            .is_some_and(|(heard, since)| heard == self.shared.activity() && since.elapsed() >= SILENT_AFTER)
    }

    /// Takes the notices that have come up since this was called last.
    pub fn take_notices(&self) -> Vec<Notice> {
        if !self.shared.has_notices.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.shared.take_notices(&self.target)
    }

    /// Whether orders were handed over since [`Link::mark_reported`].
    pub(crate) fn has_unreported_orders(&self) -> bool {
        self.reported < self.orders
    }

    pub(crate) fn mark_reported(&mut self) {
        self.reported = self.orders;
    }

    pub(crate) fn is_down(&self) -> bool {
        !self.shared.lock().is_up()
    }

    /// Counts the orders of this link so far.
    pub fn stats(&self) -> LinkStats {
        let state = self.shared.lock();
        LinkStats {
            queued: self.orders - state.confirmed,
            queued_bytes: state.queued,
            acked: state.confirmed - state.dropped.min(state.confirmed),
            resent: state.resent,
            dropped: state.dropped,
            connected: state.connected.clone(),
        }
    }

    /// Describes the link in one line for people.
    pub fn status(&self) -> String {
        let state = self.shared.lock();
        let status = match &state.status {
            LinkStatus::Idle => "idle",
            LinkStatus::Connecting => "connecting",
            LinkStatus::Up => "up",
            LinkStatus::Down(_) => "down",
        };
        format!("{}: {status}, {} bytes unconfirmed", self.target, state.queued)
    }

    /// Whether the I/O thread has ended, which it does by itself only when it fails.
    pub(crate) fn io_thread_has_ended(&self) -> bool {
        self.shared.io_thread_ended.load(Ordering::Acquire)
    }

    /// Ends the I/O thread, waiting at most for `timeout`; a thread that takes longer ends by itself. The caller flushes
    /// before.
    pub fn close(mut self, timeout: Duration) {
        self.stop();
        let Some(thread) = self.thread.take() else { return };
        let (state, io_thread_ended) =
            self.shared.wait(Instant::now() + timeout, |_| self.io_thread_has_ended().then_some(()));
        drop(state);
        if io_thread_ended.is_some() {
            // `EndGuard` has reported a panic of the thread already.
            let _ = thread.join();
        }
    }

    fn stop(&self) {
        let mut state = self.shared.lock();
        state.stop = true;
        self.shared.wake_io_thread(state);
    }

    /// Encodes a call into the scratch memory.
    fn encode(&mut self, call: Call<'_>) -> Result<(), LinkError> {
        self.scratch.clear();
        self.scratch.shrink_to(SCRATCH_KEPT);
        Request { seq: self.next_seq.get(), call }.encode(&mut self.scratch).map_err(LinkError::TooLarge)
    }

    /// Makes sure that the link is up and has room for the call in the scratch memory, and waits for both if need be.
    fn wait_for_room(&self, timeout: Duration) -> Result<MutexGuard<'_, LinkState>, LinkError> {
        let begun = self.start_wait();
        let (limit, bytes) = (self.limits.buffer_bytes, self.scratch.len());
        let fits = |state: &LinkState| state.queued == 0 || state.queued.saturating_add(bytes) <= limit;
        let state = self.shared.lock();
        if state.is_up() && fits(&state) {
            return Ok(state);
        }
        let now = begun.1;
        let state = match state.status {
            LinkStatus::Idle if self.target.connects_in_time() && !self.is_silent() => {
                let state = self.connect(state, now, timeout);
                if state.is_up() && fits(&state) {
                    return Ok(state);
                }
                state
            }
            _ => state,
        };
        // The I/O thread may have left it to this thread to make room.
        drop(state);
        self.start_io_thread()?;
        self.shared.wake_io_thread(self.shared.lock());
        let waited = if self.is_silent() { SILENT_WAIT.min(timeout) } else { timeout };
        let (state, ready) = self.shared.wait(now + waited, |state| {
            if !state.is_up() {
                state.last_wanted = now;
                state.connect_timeout = timeout;
            }
            match &state.status {
                LinkStatus::Up => fits(state).then_some(Ok(())),
                LinkStatus::Down(reason) => Some(Err(LinkError::Unreachable(reason.clone()))),
                LinkStatus::Connecting => None,
                LinkStatus::Idle => {
                    state.status = LinkStatus::Connecting;
                    if state.mark_awake() {
                        self.shared.wake.wake();
                    }
                    None
                }
            }
        });
        match ready {
            Some(Ok(())) => Ok(state),
            Some(Err(error)) => Err(error),
            None if state.is_up() => {
                self.note_silent_wait(begun);
                let (address, queued) = (self.target.to_string(), state.queued);
                Err(LinkError::BufferFull { address, queued, limit, waited })
            }
            None => {
                self.note_silent_wait(begun);
                Err(Unreachable::timed_out(&self.target, waited).into())
            }
        }
    }

    /// Has this thread make the attempt to connect for which it would wait, which saves waking the I/O thread and being woken by it. If
    /// that has the engine, it makes the attempt.
    fn connect<'a>(
        &'a self,
        mut state: MutexGuard<'a, LinkState>,
        now: Instant,
        timeout: Duration,
    ) -> MutexGuard<'a, LinkState> {
        state.last_wanted = now;
        state.connect_timeout = timeout;
        state.status = LinkStatus::Connecting;
        drop(state);
        self.with_engine(|engine| {
            engine.connect();
            engine.is_idle()
        });
        self.shared.lock()
    }

    /// Moves the call in the scratch memory to the queue, and gives its number.
    fn enqueue(&self, state: &mut LinkState, is_query: bool) -> u64 {
        let seq = self.next_seq.get();
        self.next_seq.set(seq + 1);
        state.outgoing.push(seq, is_query, &self.scratch);
        state.queued += self.scratch.len();
        seq
    }

    /// Does the I/O in this thread until `done`, unless the I/O thread does it just then.
    fn drive(&self, state: MutexGuard<'_, LinkState>, deadline: Instant, done: impl Fn(&LinkState) -> bool) {
        drop(state);
        self.with_engine(|engine| {
            engine.drive(deadline, done);
            engine.is_idle()
        });
    }

    /// Runs `work` on the engine while the I/O thread keeps away. Afterwards the I/O thread may rest if `work` says so. If the
    /// I/O thread has the engine, it does the work instead.
    fn with_engine(&self, work: impl FnOnce(&mut Engine) -> bool) {
        self.shared.lock().php_drives = true;
        let can_rest = self.try_engine().is_some_and(|mut engine| work(&mut engine));
        let mut state = self.shared.lock();
        state.php_drives = false;
        if !can_rest || state.io_thread == IoThreadState::WaitsForEngine {
            self.leave_to_io_thread(state);
        }
    }

    fn try_engine(&self) -> Option<MutexGuard<'_, Engine>> {
        let give_up = Instant::now() + ENGINE_LOCK_WAIT;
        loop {
            match self.engine.try_lock() {
                Ok(engine) => return Some(engine),
                Err(TryLockError::WouldBlock) if Instant::now() < give_up => thread::yield_now(),
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop();
    }
}
