//! The connections whose messages wait a moment for those which follow.

use std::time::Instant;

/// The connections whose messages wait, and until when.
#[derive(Default)]
pub(super) struct HeldBack {
    keys: Vec<usize>,
    /// The moment at which all of them are written to: when the first of them has waited for long enough.
    pub(super) until: Option<Instant>,
}

impl HeldBack {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn add(&mut self, key: usize, until: Instant) {
        self.keys.push(key);
        self.until = Some(self.until.map_or(until, |before| before.min(until)));
    }

    /// Gives the keys, sorted, and holds nothing back any more.
    pub(super) fn release(&mut self) -> Vec<usize> {
        self.until = None;
        let mut keys = std::mem::take(&mut self.keys);
        keys.sort_unstable();
        keys
    }
}
