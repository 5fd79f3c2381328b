//! The connections that were taken over and are not in the poll yet.

use std::time::{Duration, Instant};

/// After how long a shard tries again to put a connection into the poll. The system may not permit so many while the other process still
/// has its own (`fs.epoll.max_user_watches`), or may be short of memory.
pub(super) const AGAIN: Duration = Duration::from_millis(20);

/// The keys of these connections, and when the shard tries again after a failure.
#[derive(Default)]
pub(in crate::shard) struct Unpolled {
    keys: Vec<usize>,
    again_at: Option<Instant>,
}

impl Unpolled {
    pub(super) fn add(&mut self, key: usize) {
        self.keys.push(key);
    }

    /// Takes some of the keys, unless it is too early to try again.
    pub(super) fn take(&mut self, most: usize) -> Vec<usize> {
        if self.again_at.is_some_and(|at| Instant::now() < at) {
            return Vec::new();
        }
        let taken = self.keys.split_off(self.keys.len().saturating_sub(most));
        if self.keys.is_empty() {
            self.keys = Vec::new();
        }
        taken
    }

    /// Takes back what could be put into the poll no more. Gives whether there was no failure just before this one.
    pub(super) fn take_back(&mut self, keys: &[usize]) -> bool {
        self.keys.extend(keys);
        self.again_at.replace(Instant::now() + AGAIN).is_none()
    }

    /// Notes that nothing has failed.
    pub(super) fn go_on(&mut self) {
        self.again_at = None;
    }

    /// Whether there is something to do at once.
    pub(in crate::shard) fn is_due(&self) -> bool {
        !self.keys.is_empty() && self.again_at.is_none()
    }

    /// When to try again after a failure.
    pub(in crate::shard) fn deadline(&self) -> Option<Instant> {
        self.again_at
    }
}
