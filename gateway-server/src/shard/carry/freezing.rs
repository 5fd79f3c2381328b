//! The freezing of a shard: what its thread and whoever freezes it tell each other.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::oneshot;

/// How often a frozen shard counts a step, so that nobody takes it for one that hangs.
const STEP_EVERY: Duration = Duration::from_millis(100);

/// The wish to freeze a shard, which its thread obeys.
pub(crate) struct Freezing {
    frozen: oneshot::Sender<()>,
    thaw: mpsc::Receiver<Infallible>,
}

/// Keeps a shard frozen. Dropping it thaws the shard.
pub(crate) struct Frost {
    _thaws_when_dropped: mpsc::Sender<Infallible>,
}

/// Makes the wish, what tells that the shard is frozen, and what keeps it so.
pub(in crate::shard) fn freezing() -> (Freezing, oneshot::Receiver<()>, Frost) {
    let (frozen, is_frozen) = oneshot::channel();
    let (sender, thaw) = mpsc::channel();
    (Freezing { frozen, thaw }, is_frozen, Frost { _thaws_when_dropped: sender })
}

impl Freezing {
    /// Tells that the shard is frozen, and waits until it is to thaw. The caller is the shard's thread, and does not hold its lock.
    pub(in crate::shard) fn wait(self, steps: &AtomicU64) {
        if self.frozen.send(()).is_err() {
            return;
        }
        while let Err(RecvTimeoutError::Timeout) = self.thaw.recv_timeout(STEP_EVERY) {
            // Nobody else counts while the shard is frozen.
            steps.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Frost {
    /// Never thaws the shard.
    pub(super) fn stay(self) {
        std::mem::forget(self);
    }
}
