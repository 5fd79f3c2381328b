//! Who came, and who of them is still there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of some connections, since the start.
#[derive(Debug, Default)]
pub struct ConnectionCounter {
    came: AtomicU64,
    gone: AtomicU64,
}

/// One that counts as present until it is dropped.
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
