//! Which clients are parked: they have no connection at the moment, and may come back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hashbrown::HashMap;

use crate::net::RateLimitKey;

/// The parked clients of a shard, by the keys of their records.
#[derive(Default)]
pub(in crate::shard) struct ParkedClients {
    by_key: HashMap<u32, Parked>,
    /// When the parking of each ends, with its key.
    ends: BTreeSet<(Instant, u32)>,
    /// The keys in the order in which the clients were parked.
    in_order: BTreeMap<u64, u32>,
    /// The same for each address from which clients came.
    by_address: BTreeMap<(RateLimitKey, u64), u32>,
    /// The number of the next parking, in their order.
    next: u64,
    /// The number of parked clients of all shards.
    total: Arc<AtomicUsize>,
}

/// How long a client has been parked, and how long it may stay.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Parked {
    pub(in crate::shard) since: Instant,
    pub(super) until: Instant,
    pub(super) number: u64,
    pub(super) address: Option<RateLimitKey>,
}

impl ParkedClients {
    /// No clients, of a shard that counts its own in `total`.
    pub(super) fn counted_in(total: Arc<AtomicUsize>) -> Self {
        Self { total, ..Self::default() }
    }

    pub(super) fn insert(
        &mut self,
        key: usize,
        since: Instant,
        until: Instant,
        address: Option<RateLimitKey>,
    ) {
        self.remove(key);
        self.total.fetch_add(1, Ordering::Relaxed);
        let (key, number) = (key as u32, self.next);
        self.next += 1;
        self.by_key.insert(key, Parked { since, until, number, address });
        self.ends.insert((until, key));
        self.in_order.insert(number, key);
        if let Some(address) = address {
            self.by_address.insert((address, number), key);
        }
    }

    /// Inserts a client that was parked in another process, with the number of its parking there.
    pub(super) fn restore(
        &mut self,
        key: usize,
        (since, until): (Instant, Instant),
        number: u64,
        address: Option<RateLimitKey>,
    ) {
        let next = self.next.max(number.saturating_add(1));
        self.next = number;
        self.insert(key, since, until, address);
        self.next = next;
    }

    pub(super) fn remove(&mut self, key: usize) {
        if self.by_key.is_empty() {
            return;
        }
        if let Some(parked) = self.by_key.remove(&(key as u32)) {
            self.ends.remove(&(parked.until, key as u32));
            self.in_order.remove(&parked.number);
            if let Some(address) = parked.address {
                self.by_address.remove(&(address, parked.number));
            }
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

    /// The key of the client that is parked for longest, of all or of those from an address, with the time since when it is.
    pub(in crate::shard) fn longest(&self, address: Option<RateLimitKey>) -> Option<(usize, Instant)> {
        let key = *match address {
            None => self.in_order.values().next(),
            Some(address) => {
                self.by_address.range((address, 0)..=(address, u64::MAX)).next().map(|(_, key)| key)
            }
        }?;
        Some((key as usize, self.by_key.get(&key)?.since))
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
            parked.insert(key, now, at(until), None);
        }
        parked.insert(2, at(1), at(40), None);
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
    #[test]
    fn whoever_has_stayed_longest_is_found_of_all_and_of_an_address() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let address = |address: &str| Some(RateLimitKey::of(address.parse().unwrap()));
        let (here, there) = (address("192.0.2.1"), address("2001:db8::1"));
        let mut parked = ParkedClients::default();
        for (key, since, address) in [(9, 1, there), (5, 2, here), (7, 3, there), (1, 4, here), (3, 5, None)]
        {
            parked.insert(key, at(since), at(60), address);
        }
        let longest = |parked: &ParkedClients| [None, here, there].map(|address| parked.longest(address));
        assert_eq!(longest(&parked), [Some((9, at(1))), Some((5, at(2))), Some((9, at(1)))]);
        // A client that is parked anew is the last.
        parked.insert(9, at(6), at(60), there);
        parked.remove(5);
        assert_eq!(longest(&parked), [Some((7, at(3))), Some((1, at(4))), Some((7, at(3)))]);
        [7, 1, 9].into_iter().for_each(|key| parked.remove(key));
        assert_eq!(longest(&parked), [Some((3, at(5))), None, None]);
        parked.remove(3);
        assert!(parked.in_order.is_empty() && parked.by_address.is_empty() && parked.ends.is_empty());
    }
}
