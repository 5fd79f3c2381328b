//! Keeps the link safe across fork: the child has a copy of its memory and descriptors, but not its thread.
//!
//! In the child the descriptors are closed at once, so that the parent's connection ends when the parent ends it, and the
//! generation changes, so that the link's owner forgets the copy. Opening and closing hold a lock that a fork takes too, so the
//! list of descriptors is right at every fork.

use std::cell::Cell;
use std::ops::Deref;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static OPEN: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

thread_local! {
    /// The lock on `OPEN`, held while this thread forks.
    static FORKING: Cell<Option<MutexGuard<'static, Vec<RawFd>>>> = const { Cell::new(None) };
}

/// A number that differs between a child and its parent. What was made in another generation must be forgotten, and not
/// dropped.
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Owns something with a descriptor that is closed in a forked child.
#[derive(Debug)]
pub(crate) struct CloseOnFork<T: AsRawFd>(Option<T>);

impl<T: AsRawFd> CloseOnFork<T> {
    pub(crate) fn open<E>(open: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        watch_forks();
        let mut list = lock();
        let opened = open()?;
        list.push(opened.as_raw_fd());
        Ok(Self(Some(opened)))
    }
}

impl<T: AsRawFd> Drop for CloseOnFork<T> {
    fn drop(&mut self) {
        let mut list = lock();
        if let Some(open) = self.0.take() {
            let fd = open.as_raw_fd();
            list.retain(|listed| *listed != fd);
            drop(open);
        }
    }
}

impl<T: AsRawFd> Deref for CloseOnFork<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(open) => open,
            None => unreachable!("taken only by drop"),
        }
    }
}

fn watch_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handlers are functions of the whole program's life: the extension is linked with -z nodelete.
        unsafe { libc::pthread_atfork(Some(before), Some(after_in_parent), Some(after_in_child)) };
    });
}

extern "C" fn before() {
    let held = lock();
    // A thread that ends has no thread-local storage any more; then the lock is given back before the fork.
    let _ = FORKING.try_with(|forking| forking.set(Some(held)));
}

extern "C" fn after_in_parent() {
    let _ = FORKING.try_with(Cell::take);
}

extern "C" fn after_in_child() {
    if let Ok(Some(mut list)) = FORKING.try_with(Cell::take) {
        for fd in list.iter() {
            // SAFETY: the child's copy of a descriptor that is open, as the lock has kept the list right. Closing does
            // not shut the connection down, which is the parent's.
            unsafe { libc::close(*fd) };
        }
        list.clear();
    }
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

fn lock() -> MutexGuard<'static, Vec<RawFd>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}
