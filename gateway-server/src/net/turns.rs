//! Turns of peers that much is to be done for, so that nobody who wants little waits behind all of them.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Semaphore;

/// Lets others go before: threads that wait for a core, and tasks that wait for this thread.
pub async fn give_way() {
    std::thread::yield_now();
    tokio::task::yield_now().await;
}

/// Tokio runs tasks in the order in which they became ready, so an order from PHP would wait for every one of a thousand peers that
/// became ready before it. Whoever waits here instead becomes ready a few at a time, the first first.
pub struct Turns {
    ready: Semaphore,
    taken: AtomicU32,
}

/// Turns after which other threads have theirs: changing between threads takes longer than changing between tasks.
const IN_A_ROW: u32 = 8;

impl Turns {
    pub const fn new(at_once: usize) -> Self {
        Self { ready: Semaphore::const_new(at_once), taken: AtomicU32::new(0) }
    }

    /// Waits for a turn, and lets others go before: threads that wait for a core, and tasks that wait for this thread. The next one's
    /// turn comes when this one's has begun, as it may then wait for its peer.
    pub async fn next(&self) {
        // It is never closed.
        let _turn = self.ready.acquire().await;
        if self.taken.fetch_add(1, Ordering::Relaxed).is_multiple_of(IN_A_ROW) {
            std::thread::yield_now();
        }
        tokio::task::yield_now().await;
    }
}
