//! What a listener counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of one listener, since the start.
#[derive(Debug, Default)]
pub struct Tally {
    accepted: AtomicU64,
    finished: AtomicU64,
}

/// A connection that shakes hands, until it is dropped.
pub(super) struct Handshaking(Arc<Tally>);

impl Tally {
    pub(super) fn accept(self: &Arc<Self>) -> Handshaking {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Handshaking(Arc::clone(self))
    }

    /// Connections that came, those that were refused included.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Those that are no clients yet.
    pub fn handshakes(&self) -> u64 {
        let finished = self.finished.load(Ordering::Acquire);
        self.accepted().saturating_sub(finished)
    }
}

impl Drop for Handshaking {
    fn drop(&mut self) {
        self.0.finished.fetch_add(1, Ordering::Release);
    }
}
