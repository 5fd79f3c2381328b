//! Which panics a shard survives, and which end the process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::system::exit;

/// The number of panics within [`WINDOW`] that a shard survives. With more, it is no longer one client that causes them.
const BORNE: u32 = 100;
/// The time over which the panics of a shard are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// The number of panics that a shard has survived since the start of the current window.
#[derive(Default)]
pub(super) struct PanicBudget {
    since: Option<Instant>,
    panics: u32,
}

impl PanicBudget {
    /// The number of panics in the current window.
    #[cfg(test)]
    pub(super) fn spent(&self) -> u32 {
        self.panics
    }

    /// Counts a panic, which the panic hook has logged already. With too many panics this ends the process.
    pub(super) fn spend(&mut self) {
        let now = Instant::now();
        if self.since.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            *self = Self { since: Some(now), panics: 0 };
        }
        self.panics += 1;
        if self.panics > BORNE {
            exit::now(&format!("more than {BORNE} faults of one shard within {WINDOW:?}"));
        }
    }
}

/// Does work that leaves the shard unusable if it panics; a panic ends the process.
pub(super) fn or_end<T>(what: &str, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| exit::now(&format!("a fault in {what}")))
}

/// Does work that changes nothing of the shard; a panic gives `None`.
pub(super) fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
