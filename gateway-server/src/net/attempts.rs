//! A bound on the failed attempts of each peer: so many at once, which come back at a rate.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::RateLimitKey;

/// Number of peers whose attempts are counted separately; further ones share one account.
const ACCOUNTS: usize = 65_536;

/// The failed attempts of all peers. A peer without any costs nothing.
#[derive(Debug)]
pub struct Attempts {
    at_once: f64,
    per_second: f64,
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    by_key: HashMap<RateLimitKey, Account>,
    /// The time when accounts of peers that may do everything again were last removed to make room for others.
    cleared: Option<Instant>,
}

/// How many attempts of a peer may fail yet, as it was at a time.
#[derive(Clone, Copy, Debug)]
struct Account {
    left: f64,
    at: Instant,
}

impl Attempts {
    /// Lets so many attempts of a peer fail at once, and then so many per second.
    pub fn new(at_once: u32, per_second: f64) -> Self {
        Self { at_once: at_once.into(), per_second, accounts: Mutex::default() }
    }

    /// Whether an attempt of the peer may fail.
    pub fn may(&self, key: RateLimitKey, now: Instant) -> bool {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.account_of(&mut accounts, key, now);
        accounts.by_key.get(&key).is_none_or(|account| self.left(account, now) >= 1.0)
    }

    /// Counts an attempt of the peer that has failed.
    pub fn fail(&self, key: RateLimitKey, now: Instant) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.account_of(&mut accounts, key, now);
        let account = accounts.by_key.entry(key).or_insert(Account { left: self.at_once, at: now });
        *account = Account { left: (self.left(account, now) - 1.0).max(0.0), at: now };
    }

    /// The key of the peer's account, which is one that many share when there is no room for another.
    fn account_of(&self, accounts: &mut Accounts, key: RateLimitKey, now: Instant) -> RateLimitKey {
        let Accounts { by_key, cleared } = accounts;
        if by_key.len() < ACCOUNTS || by_key.contains_key(&key) {
            return key;
        }
        if cleared.is_none_or(|cleared| now.saturating_duration_since(cleared) >= Duration::from_secs(1)) {
            *cleared = Some(now);
            by_key.retain(|_, account| self.left(account, now) < self.at_once);
        }
        if by_key.len() < ACCOUNTS { key } else { RateLimitKey::UNSPECIFIED }
    }

    fn left(&self, account: &Account, now: Instant) -> f64 {
        let back = now.saturating_duration_since(account.at).as_secs_f64() * self.per_second;
        (account.left + back).min(self.at_once)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn key(number: u32) -> RateLimitKey {
        RateLimitKey::of(Ipv4Addr::from(number).into())
    }

    #[test]
    fn a_peer_has_so_many_at_once_and_then_as_they_come_back() {
        let attempts = Attempts::new(3, 0.5);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..3 {
            assert!(attempts.may(key(1), start));
            attempts.fail(key(1), start);
        }
        assert!(
            !attempts.may(key(1), start) && !attempts.may(key(1), after(1)) && attempts.may(key(2), start)
        );
        // Attempts that nobody has let through do not make the wait longer.
        (0..100).for_each(|_| attempts.fail(key(1), after(1)));
        assert!(!attempts.may(key(1), after(2)) && attempts.may(key(1), after(3)));
        attempts.fail(key(1), after(3));
        assert!(!attempts.may(key(1), after(4)) && attempts.may(key(1), after(1000)));
        (0..3).for_each(|_| attempts.fail(key(1), after(1000)));
        assert!(!attempts.may(key(1), after(1000)));
    }

    #[test]
    fn very_many_peers_take_a_bounded_memory() {
        let attempts = Attempts::new(2, 1.0);
        let start = Instant::now();
        let accounts = || attempts.accounts.lock().unwrap().by_key.len();
        for number in 0..ACCOUNTS as u32 + 2 {
            attempts.fail(key(number), start);
        }
        assert_eq!(accounts(), ACCOUNTS + 1);
        // The last two share an account, and so do all that come now.
        assert!(!attempts.may(key(u32::MAX), start) && attempts.may(key(7), start));
        // An address that has all its attempts again needs no account.
        assert!(attempts.may(key(u32::MAX), start + Duration::from_secs(2)));
        assert_eq!(accounts(), 0);
    }
}
