//! The thread that drives the engine whenever PHP does something else.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering;
use std::sync::{Arc, TryLockError};

use crate::address::Address;
use crate::engine::{Engine, WaitCondition};
use crate::error::{ConnectError, FailedAttempt, Unreachable};
use crate::poll;
use crate::shared::{IoThreadState, LinkStatus, Shared};
use crate::sync::{JoinHandle, Mutex, thread};
use crate::target::Target;

const STACK_BYTES: usize = 512 << 10;

pub(crate) fn start(
    shared: Arc<Shared>,
    target: Arc<Target>,
    engine: Arc<Mutex<Engine>>,
) -> io::Result<JoinHandle<()>> {
    without_signals(|| {
        thread::Builder::new().name("gateway-link".to_owned()).stack_size(STACK_BYTES).spawn(move || {
            let _end = EndGuard { shared: &shared, target: &target };
            run(&shared, &engine);
        })
    })
}

/// Runs until it is told to stop. The caller that stops it has flushed before.
fn run(shared: &Shared, engine: &Mutex<Engine>) {
    while !shared.lock().stop {
        let waiting = match engine.try_lock() {
            Ok(mut engine) => Some(engine.run_once()),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Poisoned(_)) => return,
        };
        sleep(shared, waiting);
    }
}

/// Waits unless something has come up in the meantime. Without a condition it waits until the PHP thread lets go of the engine.
fn sleep(shared: &Shared, waiting: Option<WaitCondition>) {
    let mut state = shared.lock();
    let is_blocked = waiting.is_some_and(|waiting| waiting.is_blocked());
    let (rest, is_pending) = match &waiting {
        None => (IoThreadState::WaitsForEngine, !state.php_drives),
        Some(_) if is_blocked => (IoThreadState::Blocked, false),
        Some(waiting) => {
            // With a timeout the attempt is not due yet.
            let wished = waiting.socket.is_none()
                && waiting.timeout.is_none()
                && matches!(state.status, LinkStatus::Connecting);
            (IoThreadState::Asleep, wished || !state.outgoing.is_empty())
        }
    };
    if is_pending || state.stop {
        return;
    }
    state.io_thread = rest;
    drop(state);
    let WaitCondition { socket, timeout } = waiting.unwrap_or(WaitCondition { socket: None, timeout: None });
    // The wait fails only for want of memory, and then the next round tries again.
    if poll::wait(Some(&shared.wake), socket, timeout).unwrap_or(false) {
        shared.wake.clear();
    }
    shared.lock().io_thread = IoThreadState::Awake;
}

/// Marks the link as ended when the thread ends, also by a panic, so that no caller waits for ever.
struct EndGuard<'a> {
    shared: &'a Shared,
    target: &'a Target,
}

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        let failure = |address: &Address| FailedAttempt {
            address: address.clone(),
            reason: ConnectError::Lost("the link was closed".to_owned()),
        };
        let failures = self.target.addresses().iter().map(failure).collect();
        self.shared.change(|state| {
            state.mark_down(Unreachable { failures });
            self.shared.io_thread_ended.store(true, Ordering::Release);
        });
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
    // SAFETY: the mask was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    spawned
}
