//! Empty uids and groups that sends and questions were about.
//!
//! Such a call is no mistake that a page should break at: a guest has no uid. It concerns nobody, and is counted.

use std::cell::Cell;

thread_local! {
    static SKIPPED: Cell<u64> = const { Cell::new(0) };
}

pub(crate) fn count(names: usize) {
    SKIPPED.set(SKIPPED.get().saturating_add(names as u64));
}

/// In this process so far.
pub(crate) fn so_far() -> u64 {
    SKIPPED.get()
}
