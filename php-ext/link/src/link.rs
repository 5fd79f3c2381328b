//! The PHP thread's end of a link.

use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{SendTimeoutError, Sender, TrySendError, bounded};
use gateway_wire::bridge::{Call, Order, Producer, Query, Request, Value};

use crate::io_thread::IoThread;
use crate::poll::Wake;
use crate::queue::Frame;
use crate::shared::{Asked, Shared, Status};
use crate::{Address, LinkError, Target, Unreachable};

/// Frames that the I/O thread has not seen yet. It empties the channel in one go, so this bounds only its memory; what
/// waits for the gateway is bounded in bytes.
const CHANNEL: usize = 1024;
/// Memory kept for encoding the next call.
const SCRATCH_KEPT: usize = 256 << 10;
const STACK: usize = 512 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of unconfirmed calls that a link holds; one call may always go alone.
    pub buffer_bytes: usize,
}

#[derive(Debug)]
pub struct Link {
    target: Arc<Target>,
    limits: Limits,
    shared: Arc<Shared>,
    frames: Sender<Frame>,
    thread: Option<JoinHandle<()>>,
    next_seq: u64,
    /// Orders handed over.
    orders: u64,
    /// How many of them the last flush of all links waited for.
    flushed: u64,
    scratch: Vec<u8>,
}

/// What became of the orders of a link since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Handed over and not confirmed yet.
    pub queued: u64,
    /// Bytes of calls, queries included, that are not done yet.
    pub queued_bytes: usize,
    /// Confirmed by the gateway.
    pub acked: u64,
    /// Sent again after a lost connection; they took effect once.
    pub resent: u64,
    /// Refused by the gateway.
    pub dropped: u64,
    /// The gateway at the other end, while there is a connection.
    pub connected: Option<Address>,
}

/// What a flush could not get confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unconfirmed {
    pub calls: u64,
    pub target: String,
    /// Why the link is down, if it is; else the gateway is just slow.
    pub down: Option<String>,
}

/// Orders that the gateway would not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub calls: u64,
    pub target: String,
    /// What it said of the last of them.
    pub message: String,
}

impl Link {
    /// Starts the I/O thread, which does nothing until the first call.
    pub fn new(target: Arc<Target>, limits: Limits) -> Result<Self, LinkError> {
        let failed = |error: io::Error| LinkError::Thread(error.to_string());
        let mut producer = [0; 16];
        getrandom::fill(&mut producer).map_err(|error| LinkError::Thread(error.to_string()))?;
        let shared = Arc::new(Shared::new(Wake::new().map_err(failed)?));
        let (frames, receiver) = bounded(CHANNEL);
        let mut io = IoThread::new(shared.clone(), target.clone(), Producer(producer), receiver);
        let thread = without_signals(|| {
            std::thread::Builder::new()
                .name("gateway-link".to_owned())
                .stack_size(STACK)
                .spawn(move || io.run())
        })
        .map_err(failed)?;
        Ok(Self {
            target,
            limits,
            shared,
            frames,
            thread: Some(thread),
            next_seq: 1,
            orders: 0,
            flushed: 0,
            scratch: Vec::new(),
        })
    }

    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Hands an order over. It is delivered in turn, and kept until it is confirmed. Waits, at most for `timeout`, only
    /// for a first connection or for room.
    pub fn order(&mut self, order: Order<'_>, timeout: Duration) -> Result<(), LinkError> {
        let frame = self.encode(Call::Order(order))?;
        self.accept(frame, timeout)?;
        self.orders += 1;
        Ok(())
    }

    /// Asks and waits for the answer, at most for `timeout`.
    pub fn query(&mut self, query: Query<'_>, timeout: Duration) -> Result<Value, LinkError> {
        let deadline = Instant::now() + timeout;
        let frame = self.encode(Call::Query(query))?;
        self.up(timeout)?;
        self.shared.lock().asked = Some(Asked { seq: frame.seq, answer: None });
        let accepted = self.accept(frame, deadline.saturating_duration_since(Instant::now()));
        let answer = accepted.map(|()| {
            self.shared.wait(deadline, |state| state.asked.as_mut().and_then(|asked| asked.answer.take()))
        });
        self.shared.lock().asked = None;
        let address = || self.target.to_string();
        match answer? {
            Some(Ok(value)) => Ok(value),
            Some(Err(message)) => Err(LinkError::Refused { address: address(), message }),
            None => match &self.shared.lock().status {
                Status::Down(reason) => Err(LinkError::Unreachable(reason.clone())),
                _ => Err(LinkError::NoAnswer { address: address(), waited: timeout }),
            },
        }
    }

    /// Waits, at most for `timeout`, until every order is confirmed.
    pub fn flush(&self, timeout: Duration) -> Option<Unconfirmed> {
        let left = || self.orders - self.shared.confirmed.load(Ordering::SeqCst);
        if left() == 0 {
            return None;
        }
        let done = self.shared.wait(Instant::now() + timeout, |_| (left() == 0).then_some(()));
        if done.is_some() {
            return None;
        }
        let down = match &self.shared.lock().status {
            Status::Up => None,
            Status::Down(reason) => Some(reason.to_string()),
            Status::Idle | Status::Connecting => Some("the connection was lost".to_owned()),
        };
        Some(Unconfirmed { calls: left(), target: self.target.to_string(), down })
    }

    /// What the gateway would not take since the last time this was asked.
    pub fn take_refused(&self) -> Option<Refused> {
        if !self.shared.has_refused.load(Ordering::Acquire) {
            return None;
        }
        let (calls, message) = self.shared.take_refused()?;
        Some(Refused { calls, target: self.target.to_string(), message })
    }

    /// Orders were handed over since [`Link::news_told`].
    pub(crate) fn has_news(&self) -> bool {
        self.flushed < self.orders
    }

    pub(crate) fn news_told(&mut self) {
        self.flushed = self.orders;
    }

    pub(crate) fn is_down(&self) -> bool {
        !self.shared.up.load(Ordering::Acquire)
    }

    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let confirmed = shared.confirmed.load(Ordering::SeqCst);
        let dropped = shared.dropped.load(Ordering::Relaxed);
        Stats {
            queued: self.orders - confirmed,
            queued_bytes: shared.queued.load(Ordering::Relaxed),
            acked: confirmed - dropped.min(confirmed),
            resent: shared.resent.load(Ordering::Relaxed),
            dropped,
            connected: shared.lock().connected.clone(),
        }
    }

    /// In words, for people.
    pub fn status(&self) -> String {
        let status = match &self.shared.lock().status {
            Status::Idle => "idle",
            Status::Connecting => "connecting",
            Status::Up => "up",
            Status::Down(_) => "down",
        };
        let queued = self.shared.queued.load(Ordering::Relaxed);
        format!("{}: {status}, {queued} bytes unconfirmed", self.target)
    }

    /// The I/O thread has ended, which it does by itself only when it fails.
    pub(crate) fn is_broken(&self) -> bool {
        !self.shared.up.load(Ordering::Acquire) && self.shared.lock().finished
    }

    /// Ends the I/O thread, waiting at most for `timeout`; past that it ends by itself. Flush before.
    pub fn close(mut self, timeout: Duration) {
        self.stop();
        let finished = self.shared.wait(Instant::now() + timeout, |state| state.finished.then_some(()));
        if let Some(thread) = self.thread.take().filter(|_| finished.is_some()) {
            // A panic in the thread has been dealt with when it finished.
            let _ = thread.join();
        }
    }

    fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.rouse();
    }

    fn encode(&mut self, call: Call<'_>) -> Result<Frame, LinkError> {
        let is_query = matches!(call, Call::Query(_));
        self.scratch.clear();
        self.scratch.shrink_to(SCRATCH_KEPT);
        Request { seq: self.next_seq, call }.encode(&mut self.scratch).map_err(LinkError::TooLarge)?;
        Ok(Frame { seq: self.next_seq, is_query, bytes: self.scratch.as_slice().into() })
    }

    fn accept(&mut self, frame: Frame, timeout: Duration) -> Result<(), LinkError> {
        self.up(timeout)?;
        self.reserve(frame.bytes.len(), timeout)?;
        let bytes = frame.bytes.len();
        if let Err(error) = self.hand_over(frame, timeout) {
            self.shared.queued.fetch_sub(bytes, Ordering::SeqCst);
            return Err(error);
        }
        self.next_seq += 1;
        self.shared.rouse();
        Ok(())
    }

    fn hand_over(&self, frame: Frame, timeout: Duration) -> Result<(), LinkError> {
        let frame = match self.frames.try_send(frame) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(frame) | TrySendError::Disconnected(frame)) => frame,
        };
        self.shared.rouse();
        self.frames.send_timeout(frame, timeout).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => self.buffer_full(timeout),
            SendTimeoutError::Disconnected(_) => LinkError::Thread("it has ended".to_owned()),
        })
    }

    /// Makes sure that the link is up, or fails.
    fn up(&self, timeout: Duration) -> Result<(), LinkError> {
        if self.shared.up.load(Ordering::Acquire) {
            return Ok(());
        }
        let now = Instant::now();
        let up = self.shared.wait(now + timeout, |state| {
            state.wanted = now;
            state.connect_timeout = timeout;
            match &state.status {
                Status::Up => Some(Ok(())),
                Status::Down(reason) => Some(Err(LinkError::Unreachable(reason.clone()))),
                Status::Connecting => None,
                Status::Idle => {
                    state.status = Status::Connecting;
                    self.shared.rouse();
                    None
                }
            }
        });
        up.unwrap_or_else(|| Err(Unreachable::timed_out(&self.target, timeout).into()))
    }

    /// Counts `bytes` in, after waiting for room if there is none.
    fn reserve(&self, bytes: usize, timeout: Duration) -> Result<(), LinkError> {
        let limit = self.limits.buffer_bytes;
        let queued = &self.shared.queued;
        let fits = || {
            let queued = queued.load(Ordering::SeqCst);
            queued == 0 || queued.saturating_add(bytes) <= limit
        };
        if !fits() && self.shared.wait(Instant::now() + timeout, |_| fits().then_some(())).is_none() {
            return Err(self.buffer_full(timeout));
        }
        queued.fetch_add(bytes, Ordering::SeqCst);
        Ok(())
    }

    fn buffer_full(&self, waited: Duration) -> LinkError {
        LinkError::BufferFull {
            address: self.target.to_string(),
            queued: self.shared.queued.load(Ordering::SeqCst),
            limit: self.limits.buffer_bytes,
            waited,
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop();
    }
}

/// PHP's signal handlers must run on PHP's thread, so the new thread starts with every signal blocked.
fn without_signals<T>(spawn: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset fills what it is given; pthread_sigmask reads the one and fills the other.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let spawned = spawn();
    // SAFETY: filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    spawned
}
