//! Tokens that were good once, remembered until nobody would take them anyway.
//!
//! The clock that says when that is can be set, forwards and back. A name is kept until both it and a clock that only goes on
//! say that the token has expired. If the first is set back later, names that were forgotten would be good again: so no
//! token is taken that expires before one that was forgotten.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Each has at most 128 bytes, and some more for its places here.
const MOST: usize = 200_000;

#[derive(Default)]
pub(super) struct TokenReplayCache(Mutex<Names>);

#[derive(Default)]
struct Names {
    /// When the time is over that each had left when it was used, on the clock that only goes on. `None` is never.
    names: HashMap<Arc<str>, Option<Instant>>,
    by_expiry: BTreeSet<(u64, Arc<str>)>,
    /// The latest expiry of those that were forgotten, in seconds since 1970.
    forgotten: u64,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum ReplayError {
    #[error("its token was good once, and has been used")]
    TokenReplayCache,
    #[error(
        "its token was good once, and nobody knows any more whether it has been used: the clock was set back"
    )]
    Unknown,
    /// There is no room before one of them expires: to forget one early would make it good again.
    #[error("too many tokens that are good once have been used")]
    Full,
}

impl TokenReplayCache {
    /// Uses a name up. `expires` and `now` are in seconds since 1970, and `instant` is now too.
    pub(super) fn take(
        &self,
        name: &str,
        expires: u64,
        now: u64,
        instant: Instant,
    ) -> Result<(), ReplayError> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Names { names, by_expiry, forgotten } = &mut *used;
        while let Some((expiry, oldest)) = by_expiry.first()
            && *expiry <= now
            // Without room the clock that can be set is enough: what it makes wrong costs tokens, and makes none good again.
            && (names.len() >= MOST || names.get(oldest).is_none_or(|over| over.is_some_and(|over| over <= instant)))
            && let Some((expiry, oldest)) = by_expiry.pop_first()
        {
            *forgotten = expiry.max(*forgotten);
            names.remove(&oldest);
        }
        if names.contains_key(name) {
            return Err(ReplayError::TokenReplayCache);
        }
        if expires <= *forgotten {
            return Err(ReplayError::Unknown);
        }
        if names.len() >= MOST {
            return Err(ReplayError::Full);
        }
        let name: Arc<str> = name.into();
        let left = Duration::from_secs(expires.saturating_sub(now));
        names.insert(Arc::clone(&name), instant.checked_add(left));
        by_expiry.insert((expires, name));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two clocks of a machine: the one that can be set says 50 at the start.
    struct Clocks(Instant, TokenReplayCache);

    impl Clocks {
        fn new() -> Self {
            Self(Instant::now(), TokenReplayCache::default())
        }

        /// The clock says `now`, and so many seconds have passed since the start.
        fn take(&self, name: &str, expires: u64, now: u64, passed: u64) -> Result<(), ReplayError> {
            self.1.take(name, expires, now, self.0 + Duration::from_secs(passed))
        }
    }

    #[test]
    fn a_name_is_taken_until_it_expires() {
        let it = Clocks::new();
        assert_eq!((it.take("a", 100, 50, 0), it.take("b", 200, 50, 0)), (Ok(()), Ok(())));
        assert_eq!(it.take("a", 300, 99, 49), Err(ReplayError::TokenReplayCache));
        assert_eq!(
            (it.take("a", 300, 100, 50), it.take("b", 300, 199, 149)),
            (Ok(()), Err(ReplayError::TokenReplayCache))
        );
    }

    #[test]
    fn a_clock_that_jumps_makes_no_token_good_again() {
        let it = Clocks::new();
        assert_eq!(it.take("a", 100, 50, 0), Ok(()));
        // It is set forwards by an hour for a moment, while others come.
        assert_eq!(it.take("b", 4000, 3650, 0), Ok(()));
        assert_eq!(it.take("a", 100, 51, 1), Err(ReplayError::TokenReplayCache));
        // And back: what has expired by the time that has passed is kept.
        assert_eq!(it.take("c", 60, 10, 51), Ok(()));
        assert_eq!(it.take("a", 100, 10, 51), Err(ReplayError::TokenReplayCache));
        // What both say has expired is forgotten, and good never again.
        assert_eq!(it.take("d", 300, 200, 300), Ok(()));
        assert!(!it.1.0.lock().unwrap().names.contains_key("a"));
        assert_eq!(it.take("a", 100, 50, 301), Err(ReplayError::Unknown));
        assert_eq!(it.take("never seen", 100, 50, 301), Err(ReplayError::Unknown));
        assert_eq!(it.take("of later", 101, 50, 301), Ok(()));
    }

    #[test]
    fn an_expiry_beyond_all_time_is_one() {
        let it = Clocks::new();
        assert_eq!(it.take("a", u64::MAX, 50, 0), Ok(()));
        assert_eq!(it.take("a", u64::MAX, u64::MAX - 1, 1), Err(ReplayError::TokenReplayCache));
    }

    #[test]
    fn none_is_forgotten_early() {
        let it = Clocks::new();
        for number in 0..MOST {
            assert_eq!(it.take(&number.to_string(), 100 + number as u64, 0, 0), Ok(()));
        }
        assert_eq!(it.take("one more", 1000, 99, 99), Err(ReplayError::Full));
        assert_eq!(it.take("7", 1000, 99, 99), Err(ReplayError::TokenReplayCache));
        // The clock was wrong when they came: it alone makes room.
        assert_eq!(it.take("one more", 1000, 100, 0), Ok(()));
        assert_eq!(it.take("yet one", 1000, 100, 0), Err(ReplayError::Full));
    }
}
