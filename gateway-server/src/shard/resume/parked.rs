//! Which clients are parked: they have no connection at the moment, and may come back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hashbrown::HashMap;

/// The parked clients of a shard, by the keys of their records.
#[derive(Default)]
pub(in crate::shard) struct ParkedClients {
    by_key: HashMap<u32, Parked>,
    /// When the parking of each ends, with its key.
    ends: BTreeSet<(Instant, u32)>,
    /// The number of parked clients of all shards.
    total: Arc<AtomicUsize>,
}

/// How long a client has been parked, and how long it may stay.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Parked {
    pub(in crate::shard) since: Instant,
    until: Instant,
}

impl ParkedClients {
    /// No clients, of a shard that counts its own in `total`.
    pub(super) fn counted_in(total: Arc<AtomicUsize>) -> Self {
        Self { total, ..Self::default() }
    }

    pub(super) fn insert(&mut self, key: usize, since: Instant, until: Instant) {
        self.remove(key);
        self.total.fetch_add(1, Ordering::Relaxed);
        self.by_key.insert(key as u32, Parked { since, until });
        self.ends.insert((until, key as u32));
    }

    pub(super) fn remove(&mut self, key: usize) {
        if self.by_key.is_empty() {
            return;
        }
        if let Some(parked) = self.by_key.remove(&(key as u32)) {
            self.ends.remove(&(parked.until, key as u32));
            self.total.fetch_sub(1, Ordering::Relaxed);
            // Memory is given back after a peak.
            if self.by_key.len() < self.by_key.capacity() / 8 {
                self.by_key.shrink_to_fit();
            }
        }
    }

    pub(in crate::shard) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(in crate::shard) fn get(&self, key: usize) -> Option<&Parked> {
        self.by_key.get(&(key as u32))
    }

    /// When the next parking ends.
    pub(in crate::shard) fn deadline(&self) -> Option<Instant> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// A client whose parking has ended.
    pub(in crate::shard) fn ended(&self, now: Instant) -> Option<usize> {
        self.ends.first().filter(|(until, _)| *until <= now).map(|(_, key)| *key as usize)
    }

    /// The keys of all parked clients, each with the time since when it is parked.
    pub(in crate::shard) fn iter(&self) -> impl Iterator<Item = (usize, Instant)> {
        self.by_key.iter().map(|(key, parked)| (*key as usize, parked.since))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn whoever_may_stay_least_ends_first() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let total = Arc::new(AtomicUsize::new(0));
        let mut parked = ParkedClients::counted_in(Arc::clone(&total));
        for (key, until) in [(1, 30), (2, 10), (3, 20)] {
            parked.insert(key, now, at(until));
        }
        parked.insert(2, at(1), at(40));
        parked.remove(3);
        parked.remove(9);
        assert_eq!((parked.len(), parked.deadline()), (2, Some(at(30))));
        assert_eq!(total.load(Ordering::Relaxed), 2);
        assert_eq!((parked.ended(at(29)), parked.ended(at(30))), (None, Some(1)));
        assert_eq!(parked.get(2).map(|parked| parked.since), Some(at(1)));
        parked.remove(1);
        parked.remove(2);
        assert_eq!((parked.deadline(), parked.ends.len()), (None, 0));
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }
}
