//! Panics that a shard survives, and those that end the process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::system::exit;

/// Panics of a shard within [`WINDOW`] that are borne; with more, it is no longer one client that causes them.
const BORNE: u32 = 100;
const WINDOW: Duration = Duration::from_secs(60);

/// How many panics a shard has survived since when.
#[derive(Default)]
pub(super) struct PanicBudget {
    since: Option<Instant>,
    panics: u32,
}

impl PanicBudget {
    /// Counts a panic, which has been logged by itself. With too many the process ends.
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

/// Does some work after which nothing is as it should be if it panics: then the process ends.
pub(super) fn or_end<T>(what: &str, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| exit::now(&format!("a fault in {what}")))
}

/// Gives nothing if `work`, which changes nothing of the shard, panics.
pub(super) fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
