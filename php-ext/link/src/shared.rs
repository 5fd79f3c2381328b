//! What the PHP thread and the I/O thread both see.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gateway_wire::bridge::Value;

use crate::poll::Wake;
use crate::queue::Done;
use crate::{Address, Unreachable};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) wake: Wake,
    /// The I/O thread waits in poll, or is about to: a new frame must wake it.
    pub(crate) asleep: AtomicBool,
    /// The status is `Up`: calls go straight to the channel.
    pub(crate) up: AtomicBool,
    /// The I/O thread is to end.
    pub(crate) stop: AtomicBool,
    /// Bytes of calls handed over and not confirmed.
    pub(crate) queued: AtomicUsize,
    /// Orders that need no more sending.
    pub(crate) confirmed: AtomicU64,
    /// Orders that were sent again after a lost connection.
    pub(crate) resent: AtomicU64,
    /// Orders that the gateway would not take.
    pub(crate) dropped: AtomicU64,
    /// Whether [`State::refused`] is something, so that every call can look.
    pub(crate) has_refused: AtomicBool,
    /// The PHP thread waits for a change.
    waiting: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) status: Status,
    /// The gateway at the other end while the status is `Up`.
    pub(crate) connected: Option<Address>,
    /// How long an attempt to connect may take.
    pub(crate) connect_timeout: Duration,
    /// When PHP last wanted the link and found it down.
    pub(crate) wanted: Instant,
    /// The query that PHP waits for.
    pub(crate) asked: Option<Asked>,
    /// Orders that the gateway would not take, which nobody has been told of yet.
    pub(crate) refused: Option<(u64, String)>,
    /// The I/O thread has ended.
    pub(crate) finished: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Status {
    /// Nobody has needed the link yet, or for a while.
    Idle,
    /// An attempt is under way, and callers wait for it.
    Connecting,
    Up,
    /// Attempts go on, but callers do not wait for them.
    Down(Arc<Unreachable>),
}

#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) seq: u64,
    pub(crate) answer: Option<Result<Value, String>>,
}

impl Shared {
    pub(crate) fn new(wake: Wake) -> Self {
        let state = State {
            status: Status::Idle,
            connected: None,
            connect_timeout: Duration::ZERO,
            wanted: Instant::now(),
            asked: None,
            refused: None,
            finished: false,
        };
        Self {
            wake,
            asleep: AtomicBool::new(false),
            up: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            queued: AtomicUsize::new(0),
            confirmed: AtomicU64::new(0),
            resent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            has_refused: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// PHP thread: waits until `check` gives something, at most until `deadline`.
    pub(crate) fn wait<T>(
        &self,
        deadline: Instant,
        mut check: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.lock();
        self.waiting.store(true, Ordering::SeqCst);
        let found = loop {
            if let Some(found) = check(&mut state) {
                break Some(found);
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                break None;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        self.waiting.store(false, Ordering::SeqCst);
        found
    }

    /// PHP thread, after a frame or a wish: wakes the I/O thread if it sleeps. A burst finds it awake and costs nothing.
    pub(crate) fn rouse(&self) {
        // Pairs with the fence in the I/O thread: either it sees the frame, or this sees it asleep.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.wake.wake();
        }
    }

    /// PHP thread.
    pub(crate) fn take_refused(&self) -> Option<(u64, String)> {
        let mut state = self.lock();
        self.has_refused.store(false, Ordering::Relaxed);
        state.refused.take()
    }

    /// I/O thread: notes an order that the gateway would not take.
    pub(crate) fn refused(&self, message: String) {
        let mut state = self.lock();
        let (refused, _) = state.refused.take().unwrap_or_default();
        state.refused = Some((refused + 1, message));
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.has_refused.store(true, Ordering::Release);
    }

    /// I/O thread: changes the state and tells the PHP thread if it waits.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.up.store(matches!(state.status, Status::Up), Ordering::Release);
        drop(state);
        if self.waiting.load(Ordering::SeqCst) {
            self.changed.notify_all();
        }
    }

    /// I/O thread: notes what was confirmed.
    pub(crate) fn done(&self, done: Done) {
        if done == Done::default() {
            return;
        }
        self.queued.fetch_sub(done.bytes, Ordering::SeqCst);
        self.confirmed.fetch_add(done.orders, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) {
            // The lock, so that this does not fall between the waiter's check and its sleep.
            drop(self.lock());
            self.changed.notify_all();
        }
    }
}
