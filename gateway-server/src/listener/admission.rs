//! The limits on the number of client connections, in all and from one address.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;

use super::refusal::Refusal;
use crate::net::{Attempts, RateLimitKey};

/// Wrong resume secrets of one address that are looked at: so many at once, and so many a second. A secret has 128 random bits, so
/// the bound is against the work that guesses make, and as many pages behind one address may be mistaken.
const WRONG_SECRETS: (u32, f64) = (100, 1.0);

/// The limits of all listeners together, and the connections that count in them. Zero is no limit.
#[derive(Debug)]
pub struct Admission {
    /// The limit on all connections.
    most: AtomicUsize,
    /// The limit on the connections of one rate limit key, which is an IPv4 address or an IPv6 network of 64 bits.
    most_per_address: AtomicUsize,
    /// Number of connections, which are counted while there is any limit.
    all: AtomicUsize,
    /// Number of connections by rate limit key, which are counted while there is a limit for them.
    by_key: Mutex<HashMap<RateLimitKey, usize>>,
    /// The wrong resume secrets of each address.
    pub(super) wrong_secrets: Attempts,
}

/// The slot of one connection in the limits, which is given back when this is dropped.
#[derive(Debug)]
pub struct AdmissionSlot {
    admission: Arc<Admission>,
    key: Option<RateLimitKey>,
}

impl Admission {
    pub fn new(most: usize, most_per_address: usize) -> Self {
        let (at_once, per_second) = WRONG_SECRETS;
        Self {
            most: most.into(),
            most_per_address: most_per_address.into(),
            all: AtomicUsize::new(0),
            by_key: Mutex::default(),
            wrong_secrets: Attempts::new(at_once, per_second),
        }
    }

    /// Changes the limits. Existing connections stay. Gives true when they have to be counted again by [`Admission::recount`].
    #[must_use]
    pub fn set(&self, most: usize, most_per_address: usize) -> bool {
        let was_counted = self.most.swap(most, Ordering::Relaxed) > 0;
        let was_counted_by_address = self.most_per_address.swap(most_per_address, Ordering::Relaxed) > 0;
        (was_counted, was_counted_by_address) != (most > 0, most_per_address > 0)
    }

    /// Counts an existing connection, even beyond the limits. Gives `None` when there is no limit.
    pub fn recount(self: &Arc<Self>, address: impl FnOnce() -> Option<IpAddr>) -> Option<AdmissionSlot> {
        let (mut slot, _) = self.count()?;
        if self.most_per_address.load(Ordering::Relaxed) > 0
            && let Some(address) = address()
        {
            slot.count_for(address, |_| Ok(())).ok()?;
        }
        Some(slot)
    }

    /// Takes a slot among all connections. Gives `None` when there is no limit.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Option<AdmissionSlot>, Refusal> {
        let Some((slot, others)) = self.count() else { return Ok(None) };
        let most = self.most.load(Ordering::Relaxed);
        if most > 0 && others >= most { Err(Refusal::full(most)) } else { Ok(Some(slot)) }
    }

    /// Takes a slot among all connections and among those of an address.
    pub(super) fn enter_from(self: &Arc<Self>, address: IpAddr) -> Result<Option<AdmissionSlot>, Refusal> {
        let mut slot = self.enter()?;
        if let Some(slot) = &mut slot {
            slot.come_from(address)?;
        }
        Ok(slot)
    }

    /// Takes a slot, and gives the number of the other connections. The slot counts at once, so that two connections cannot take
    /// the last one.
    fn count(self: &Arc<Self>) -> Option<(AdmissionSlot, usize)> {
        let limits = [&self.most, &self.most_per_address];
        if limits.iter().all(|limit| limit.load(Ordering::Relaxed) == 0) {
            return None;
        }
        let others = self.all.fetch_add(1, Ordering::Relaxed);
        Some((AdmissionSlot { admission: Arc::clone(self), key: None }, others))
    }
}

impl AdmissionSlot {
    /// Takes a slot among those of an address too.
    pub(super) fn come_from(&mut self, address: IpAddr) -> Result<(), Refusal> {
        let most = self.admission.most_per_address.load(Ordering::Relaxed);
        if most == 0 || self.key.is_some() {
            return Ok(());
        }
        self.count_for(
            address,
            |others| {
                if others >= most { Err(Refusal::full_for_address(most)) } else { Ok(()) }
            },
        )
    }

    fn count_for(
        &mut self,
        address: IpAddr,
        check: impl FnOnce(usize) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let key = RateLimitKey::of(address);
        let mut by_key = self.admission.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        let others = by_key.get(&key).copied().unwrap_or_default();
        check(others)?;
        by_key.insert(key, others + 1);
        self.key = Some(key);
        Ok(())
    }
}

impl Drop for AdmissionSlot {
    fn drop(&mut self) {
        self.admission.all.fetch_sub(1, Ordering::Relaxed);
        let Some(key) = self.key else { return };
        let mut by_key = self.admission.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_key.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                by_key.remove(&key);
            }
        }
        // Give memory back after a peak.
        if by_key.len() < by_key.capacity() / 8 {
            by_key.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(admission: &Arc<Admission>, address: &str) -> Option<AdmissionSlot> {
        admission.enter_from(address.parse().unwrap()).ok().flatten()
    }

    #[test]
    fn a_place_is_given_back() {
        let admission = Arc::new(Admission::new(3, 2));
        let one = enter(&admission, "192.0.2.1").unwrap();
        let two = enter(&admission, "::ffff:192.0.2.1").unwrap();
        assert!(enter(&admission, "192.0.2.1").is_none());
        let three = enter(&admission, "192.0.2.2").unwrap();
        assert!(enter(&admission, "192.0.2.3").is_none());
        drop(one);
        let four = enter(&admission, "192.0.2.1").unwrap();
        drop((two, three, four));
        assert_eq!(admission.all.load(Ordering::Relaxed), 0);
        assert!(admission.by_key.lock().unwrap().is_empty());
    }

    #[test]
    fn those_who_came_before_a_limit_are_counted() {
        let admission = Arc::new(Admission::new(0, 0));
        assert!(enter(&admission, "192.0.2.1").is_none());
        assert!(!admission.set(0, 0) && admission.set(0, 2));
        let address = Some("192.0.2.1".parse().unwrap());
        let early: Vec<_> = (0..3).map(|_| admission.recount(|| address).unwrap()).collect();
        assert!(enter(&admission, "192.0.2.1").is_none());
        // When the connections are counted again, each gives its old slot back.
        assert!(!admission.set(0, 3) && admission.set(3, 3));
        let early: Vec<_> = early.into_iter().map(|_| admission.recount(|| address).unwrap()).collect();
        assert!(admission.enter().is_err());
        drop(early);
        assert_eq!(admission.all.load(Ordering::Relaxed), 0);
        assert!(enter(&admission, "192.0.2.1").is_some());
    }
}
