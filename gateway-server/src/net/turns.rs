//! Turns for tasks that take much processor time, so that a task that takes little does not wait behind all of them.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Semaphore;

/// Lets other threads that wait for a core, and other tasks that wait for this thread, go first.
pub async fn give_way() {
    std::thread::yield_now();
    tokio::task::yield_now().await;
}

/// Lets tasks run a few at a time, in the order in which they asked.
///
/// Tokio runs tasks in the order in which they became ready. If a thousand of them had much to do, an order from PHP would wait
/// for all of them. A task that waits here instead becomes ready only when few others are.
pub struct Turns {
    ready: Semaphore,
    taken: AtomicU32,
}

/// The number of turns after which other threads may run. Switching between threads takes longer than switching between tasks.
const IN_A_ROW: u32 = 8;

impl Turns {
    pub const fn new(at_once: usize) -> Self {
        Self { ready: Semaphore::const_new(at_once), taken: AtomicU32::new(0) }
    }

    /// Waits for a turn, then lets other threads and tasks go first. The turn of the next task comes as soon as this one's has
    /// begun, as this task may then wait for its peer.
    pub async fn next(&self) {
        // The semaphore is never closed.
        let _turn = self.ready.acquire().await;
        if self.taken.fetch_add(1, Ordering::Relaxed).is_multiple_of(IN_A_ROW) {
            std::thread::yield_now();
        }
        tokio::task::yield_now().await;
    }
}
