//! The state that the PHP thread and the I/O thread share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use gateway_wire::bridge::frame::MAX_REPLY;

use crate::address::Address;
use crate::answer::QueryAnswer;
use crate::error::{LinkError, Unreachable};
use crate::later_answers::LaterAnswers;
use crate::notice::{Notice, NoticeKind, Notices};
use crate::poll::Waker;
use crate::queue::{Confirmed, UnsentCalls};
use crate::sync::{AtomicBool, AtomicU64, Condvar, Mutex, MutexGuard};
use crate::target::Target;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) wake: Waker,
    /// Whether [`LinkState::notices`] holds something, so that every call can look without the lock.
    pub(crate) has_notices: AtomicBool,
    /// Counts how often something arrived: while it does not change, the other side is silent.
    heard: AtomicU64,
    /// The most bytes that the answer may have for which PHP waits.
    pub(crate) max_answer: AtomicUsize,
    /// Whether the I/O thread has ended; every call looks at it without the lock.
    pub(crate) io_thread_ended: AtomicBool,
    /// The lock is held for moments only, and never over I/O.
    state: Mutex<LinkState>,
    changed: Condvar,
}

#[derive(Debug)]
pub(crate) struct LinkState {
    pub(crate) status: LinkStatus,
    /// The address of the gateway at the other end while the status is `Up`.
    pub(crate) connected: Option<Address>,
    /// The time that an attempt to connect may take.
    pub(crate) connect_timeout: Duration,
    /// When PHP last wanted the link and found it down.
    pub(crate) last_wanted: Instant,
    pub(crate) outgoing: UnsentCalls,
    /// Bytes of calls that were handed over and not confirmed.
    pub(crate) queued: usize,
    /// The number of orders that need no more sending.
    pub(crate) confirmed: u64,
    /// The number of orders that were sent again after a lost connection.
    pub(crate) resent: u64,
    /// The number of orders that the gateway refused, or that were lost on the way.
    pub(crate) dropped: u64,
    /// The query for whose answer PHP waits.
    pub(crate) awaited: Option<AwaitedQuery>,
    /// The queries whose answers PHP takes later.
    pub(crate) later: LaterAnswers,
    /// The notices that PHP has not read yet.
    pub(crate) notices: Notices,
    pub(crate) io_thread: IoThreadState,
    /// The PHP thread has the engine, or is about to.
    pub(crate) php_drives: bool,
    /// The I/O thread is to end.
    pub(crate) stop: bool,
    /// The PHP thread waits for a change.
    waiting: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum LinkStatus {
    /// PHP has not needed the link yet, or not for a while.
    Idle,
    /// An attempt is under way, and callers wait for it.
    Connecting,
    Up,
    /// Attempts go on, but callers do not wait for them.
    Down(Arc<Unreachable>),
}

/// Whether the I/O thread waits in poll, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IoThreadState {
    /// The thread runs, and looks at the state again before it sleeps.
    Awake,
    Asleep,
    /// The thread waits for a socket that is full: new calls need not wake it.
    Blocked,
    /// The thread waits until the PHP thread lets go of the engine; no other thread watches the socket.
    WaitsForEngine,
}

#[derive(Debug)]
pub(crate) struct AwaitedQuery {
    pub(crate) seq: u64,
    pub(crate) answer: Option<Result<QueryAnswer, LinkError>>,
}

impl Shared {
    pub(crate) fn new(wake: Waker) -> Self {
        let state = LinkState {
            status: LinkStatus::Idle,
            connected: None,
            connect_timeout: Duration::ZERO,
            last_wanted: Instant::now(),
            outgoing: UnsentCalls::default(),
            queued: 0,
            confirmed: 0,
            resent: 0,
            dropped: 0,
            awaited: None,
            later: LaterAnswers::default(),
            notices: Notices::default(),
            io_thread: IoThreadState::Awake,
            php_drives: false,
            stop: false,
            waiting: false,
        };
        Self {
            wake,
            has_notices: AtomicBool::new(false),
            heard: AtomicU64::new(0),
            max_answer: AtomicUsize::new(MAX_REPLY),
            io_thread_ended: AtomicBool::new(false),
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn activity(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Called by the engine when something has arrived.
    pub(crate) fn note_activity(&self) {
        // Only the thread that has the engine writes this.
        self.heard.store(self.activity().wrapping_add(1), Ordering::Relaxed);
    }

    /// Runs in the PHP thread: waits until `check` gives something, at most until `deadline`. Gives it with the lock held.
    pub(crate) fn wait<T>(
        &self,
        deadline: Instant,
        mut check: impl FnMut(&mut LinkState) -> Option<T>,
    ) -> (MutexGuard<'_, LinkState>, Option<T>) {
        let mut state = self.lock();
        let found = loop {
            if let Some(found) = check(&mut state) {
                break Some(found);
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                break None;
            };
            state.waiting = true;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.waiting = false;
        (state, found)
    }

    /// Runs in the PHP thread: makes the I/O thread look at the state. A burst of calls finds it awake, and costs nothing here.
    pub(crate) fn wake_io_thread(&self, mut state: MutexGuard<'_, LinkState>) {
        if state.mark_awake() {
            drop(state);
            self.wake.wake();
        }
    }

    /// Runs in the PHP thread: takes the notices out.
    pub(crate) fn take_notices(&self, target: &Target) -> Vec<Notice> {
        let mut state = self.lock();
        self.has_notices.store(false, Ordering::Relaxed);
        state.notices.take(target)
    }

    /// Called by the engine: adds a notice for PHP.
    pub(crate) fn add_notice(&self, trouble: NoticeKind, calls: u64, why: String) {
        let mut state = self.lock();
        if trouble != NoticeKind::Partial {
            state.dropped += calls;
        }
        state.notices.add(trouble, calls, why);
        self.has_notices.store(true, Ordering::Release);
    }

    /// Called by the engine: changes the state, and wakes the PHP thread if it waits.
    pub(crate) fn change(&self, change: impl FnOnce(&mut LinkState)) {
        let mut state = self.lock();
        change(&mut state);
        let waiting = state.waiting;
        drop(state);
        if waiting {
            self.changed.notify_all();
        }
    }
}

impl LinkState {
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.status, LinkStatus::Up)
    }

    /// Marks the I/O thread as awake, and gives whether it waits and has to be woken.
    pub(crate) fn mark_awake(&mut self) -> bool {
        std::mem::replace(&mut self.io_thread, IoThreadState::Awake) != IoThreadState::Awake
    }

    /// Stores the answer, unless PHP has stopped waiting for it.
    pub(crate) fn answer(&mut self, seq: u64, answer: Result<QueryAnswer, LinkError>) {
        match self.awaited.as_mut().filter(|awaited| awaited.seq == seq) {
            Some(awaited) => awaited.answer = Some(answer),
            None => self.later.answer(seq, answer),
        }
    }

    /// Marks the link as down: callers do not wait for it, and nobody waits for answers.
    pub(crate) fn mark_down(&mut self, why: Unreachable) {
        let why = Arc::new(why);
        self.later.fail_all(&why);
        self.status = LinkStatus::Down(why);
    }

    /// Notes what was confirmed.
    pub(crate) fn note_confirmed(&mut self, done: Confirmed) {
        self.queued = self.queued.saturating_sub(done.bytes);
        self.confirmed += done.orders;
    }
}
