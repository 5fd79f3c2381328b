//! Counts connections: those that have come since the start, and those that are still there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of one kind of connection, since the start.
#[derive(Debug, Default)]
pub struct ConnectionCounter {
    came: AtomicU64,
    gone: AtomicU64,
}

/// A connection that counts as present until this is dropped.
pub struct CountedConnection(Arc<ConnectionCounter>);

impl ConnectionCounter {
    pub fn enter(self: &Arc<Self>) -> CountedConnection {
        self.came.fetch_add(1, Ordering::Relaxed);
        CountedConnection(Arc::clone(self))
    }

    pub fn came(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    pub fn present(&self) -> u64 {
        let gone = self.gone.load(Ordering::Acquire);
        self.came().saturating_sub(gone)
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.0.gone.fetch_add(1, Ordering::Release);
    }
}
