//! How many connections there may be, in all and from one address, and how fast they may come.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::refusal::Refusal;

/// The limits of all listeners together. Zero is no limit.
#[derive(Debug, Default)]
pub struct Admission {
    most: AtomicUsize,
    most_per_address: AtomicUsize,
    all: AtomicUsize,
    by_customer: Mutex<HashMap<RateLimitKey, usize>>,
}

/// A connection's share of the limits, given back when dropped.
#[derive(Debug)]
pub struct AdmissionSlot {
    admission: Arc<Admission>,
    customer: Option<RateLimitKey>,
}

/// Whose connections are counted together: an IPv4 address, or the 64 bits of IPv6 that one customer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateLimitKey(u128);

impl Admission {
    pub fn new(most: usize, most_per_address: usize) -> Self {
        Self { most: most.into(), most_per_address: most_per_address.into(), ..Self::default() }
    }

    /// Changes the limits. Those who are here stay; gives whether they are to be counted anew by [`Admission::recount`].
    #[must_use]
    pub fn set(&self, most: usize, most_per_address: usize) -> bool {
        let was_counted = self.most.swap(most, Ordering::Relaxed) > 0;
        let was_counted_by_address = self.most_per_address.swap(most_per_address, Ordering::Relaxed) > 0;
        (was_counted, was_counted_by_address) != (most > 0, most_per_address > 0)
    }

    /// A new place, over the limits too, for one that is here. `None` when nothing is limited.
    pub fn recount(self: &Arc<Self>, address: Option<IpAddr>) -> Option<AdmissionSlot> {
        let (mut place, _) = self.count()?;
        if let Some(address) = address.filter(|_| self.most_per_address.load(Ordering::Relaxed) > 0) {
            place.count_for(address, |_| Ok(())).ok()?;
        }
        Some(place)
    }

    /// A place among all; `None` when nothing is limited.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Option<AdmissionSlot>, Refusal> {
        let Some((place, others)) = self.count() else { return Ok(None) };
        let most = self.most.load(Ordering::Relaxed);
        if most > 0 && others >= most { Err(Refusal::full(most)) } else { Ok(Some(place)) }
    }

    /// A place, which counts at once, so that no two take the last one, and how many others there are.
    fn count(self: &Arc<Self>) -> Option<(AdmissionSlot, usize)> {
        let limits = [&self.most, &self.most_per_address];
        if limits.iter().all(|limit| limit.load(Ordering::Relaxed) == 0) {
            return None;
        }
        let others = self.all.fetch_add(1, Ordering::Relaxed);
        Some((AdmissionSlot { admission: Arc::clone(self), customer: None }, others))
    }
}

impl AdmissionSlot {
    /// Takes a place among those of an address as well.
    pub(super) fn come_from(&mut self, address: IpAddr) -> Result<(), Refusal> {
        let most = self.admission.most_per_address.load(Ordering::Relaxed);
        if most == 0 || self.customer.is_some() {
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
        let customer = RateLimitKey::of(address);
        let mut by_customer = self.admission.by_customer.lock().unwrap_or_else(PoisonError::into_inner);
        let others = by_customer.get(&customer).copied().unwrap_or_default();
        check(others)?;
        by_customer.insert(customer, others + 1);
        self.customer = Some(customer);
        Ok(())
    }
}

impl Drop for AdmissionSlot {
    fn drop(&mut self) {
        self.admission.all.fetch_sub(1, Ordering::Relaxed);
        let Some(customer) = self.customer else { return };
        let mut by_customer = self.admission.by_customer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_customer.get_mut(&customer) {
            *count -= 1;
            if *count == 0 {
                by_customer.remove(&customer);
            }
        }
        // Give memory back after a peak.
        if by_customer.len() < by_customer.capacity() / 8 {
            by_customer.shrink_to_fit();
        }
    }
}

impl RateLimitKey {
    /// Nobody's.
    pub const UNSPECIFIED: Self = Self(0);

    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) if address == Ipv6Addr::LOCALHOST => Self(address.to_bits()),
            IpAddr::V6(address) => Self(address.to_bits() >> 64 << 64),
        }
    }
}

/// Connections of one listener a second, of which a second's may come at once. Those that come faster wait in the kernel's
/// queue.
#[derive(Debug)]
pub(super) struct AcceptPace {
    per_second: f64,
    ready: f64,
    at: Instant,
}

impl AcceptPace {
    /// Zero is no limit.
    pub(super) fn new(per_second: f64) -> Self {
        Self { per_second, ready: per_second.max(1.0), at: Instant::now() }
    }

    /// Waits until the next one may come.
    pub(super) async fn next(&mut self) {
        while let Some(wait) = self.wait(Instant::now()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// One has come.
    pub(super) fn count(&mut self) {
        self.ready -= 1.0;
    }

    fn wait(&mut self, now: Instant) -> Option<Duration> {
        if self.per_second == 0.0 {
            return None;
        }
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.ready = (self.ready + gained).min(self.per_second.max(1.0));
        self.at = now;
        // The timer counts in milliseconds; less would spin.
        (self.ready < 1.0).then(|| Duration::from_secs_f64((1.0 - self.ready) / self.per_second + 0.001))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(admission: &Arc<Admission>, address: &str) -> Option<AdmissionSlot> {
        let mut place = admission.enter().ok().flatten()?;
        place.come_from(address.parse().unwrap()).ok()?;
        Some(place)
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
        assert!(admission.by_customer.lock().unwrap().is_empty());
    }

    #[test]
    fn those_who_came_before_a_limit_are_counted() {
        let admission = Arc::new(Admission::new(0, 0));
        assert!(enter(&admission, "192.0.2.1").is_none());
        assert!(!admission.set(0, 0) && admission.set(0, 2));
        let address = Some("192.0.2.1".parse().unwrap());
        let early: Vec<_> = (0..3).map(|_| admission.recount(address).unwrap()).collect();
        assert!(enter(&admission, "192.0.2.1").is_none());
        // Counted anew, each gives its old place back.
        assert!(!admission.set(0, 3) && admission.set(3, 3));
        let early: Vec<_> = early.into_iter().map(|_| admission.recount(address).unwrap()).collect();
        assert!(admission.enter().is_err());
        drop(early);
        assert_eq!(admission.all.load(Ordering::Relaxed), 0);
        assert!(enter(&admission, "192.0.2.1").is_some());
    }

    #[test]
    fn the_half_of_an_ipv6_address_that_one_customer_has_is_one() {
        let customer = |address: &str| RateLimitKey::of(address.parse().unwrap());
        assert_eq!(customer("2001:db8:0:1::1"), customer("2001:db8:0:1:ffff::2"));
        assert_ne!(customer("2001:db8:0:1::1"), customer("2001:db8:0:2::1"));
        assert_ne!(customer("::1"), customer("::"));
        assert_ne!(customer("192.0.2.1"), customer("192.0.2.2"));
    }

    #[test]
    fn a_pace_lets_a_seconds_worth_come_at_once() {
        let mut pace = AcceptPace::new(10.0);
        let start = pace.at;
        let at_once = (0..100)
            .take_while(|_| {
                pace.wait(start).is_none() && {
                    pace.count();
                    true
                }
            })
            .count();
        assert_eq!(at_once, 10);
        let wait = pace.wait(start).unwrap();
        assert!(wait >= Duration::from_millis(100) && wait < Duration::from_millis(110), "{wait:?}");
        assert_eq!(pace.wait(start + wait), None);
        assert_eq!(AcceptPace::new(0.0).wait(start), None);
    }
}
