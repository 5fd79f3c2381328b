//! The replay cache: the ids of single-use tokens that were used, which are kept until the tokens have expired.
//!
//! The system's clock can be set forwards and back. So an id is kept until both this clock and the monotonic clock say that its
//! token has expired. If the system's clock is set back later, forgotten ids would be accepted again; therefore no token is taken
//! that expires before one that was forgotten.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Number of ids that are kept. Each has at most 128 bytes, and stands in two tables.
const MOST: usize = 200_000;

/// The ids of the single-use tokens that were used.
#[derive(Default)]
pub(super) struct TokenReplayCache(Mutex<Names>);

#[derive(Default)]
struct Names {
    /// The time on the monotonic clock at which each id's token has expired. `None` means that it never does.
    names: HashMap<Arc<str>, Option<Instant>>,
    /// The ids in the order of expiry, in seconds since 1970.
    by_expiry: BTreeSet<(u64, Arc<str>)>,
    /// The latest expiry among the ids that were forgotten, in seconds since 1970.
    forgotten: u64,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum ReplayError {
    #[error("its token was good once, and has been used")]
    Used,
    #[error(
        "its token was good once, and nobody knows any more whether it has been used: the clock was set back"
    )]
    Unknown,
    /// There is no room until a token expires. Forgetting an id earlier would allow its token once more.
    #[error("too many tokens that are good once have been used")]
    Full,
}

impl TokenReplayCache {
    /// Marks the id `name` as used. `expires` and `now` are in seconds since 1970, and `instant` is the same moment on the
    /// monotonic clock.
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
            // Without room the system's clock alone decides: if it is wrong, tokens are refused, but none is accepted twice.
            && (names.len() >= MOST || names.get(oldest).is_none_or(|over| over.is_some_and(|over| over <= instant)))
            && let Some((expiry, oldest)) = by_expiry.pop_first()
        {
            *forgotten = expiry.max(*forgotten);
            names.remove(&oldest);
        }
        if names.contains_key(name) {
            return Err(ReplayError::Used);
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

    /// Gives the ids in their order of expiry, for a process that takes over from this one.
    pub(super) fn export(&self, instant: Instant) -> UsedTokens {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |(expires, name): &(u64, Arc<str>)| {
            let over = used.names.get(name).copied().flatten();
            let left = over.map(|over| over.saturating_duration_since(instant).as_millis() as u64);
            (name.to_string(), *expires, left)
        };
        UsedTokens { ids: used.by_expiry.iter().map(one).collect(), forgotten: used.forgotten }
    }

    /// Takes over the ids of the process before this one. It keeps no more than [`MOST`], so more are not its own.
    pub(super) fn import(&self, tokens: UsedTokens, instant: Instant) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.forgotten = tokens.forgotten.max(used.forgotten);
        for (name, expires, left) in tokens.ids.into_iter().take(MOST) {
            let name: Arc<str> = name.into();
            let over = left.and_then(|left| instant.checked_add(Duration::from_millis(left)));
            used.names.insert(Arc::clone(&name), over);
            used.by_expiry.insert((expires, name));
        }
    }
}

/// The ids of the single-use tokens that were used, for another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedTokens {
    /// Each id with its token's expiry in seconds since 1970, and in how many milliseconds it has expired by the monotonic clock;
    /// `None` means never.
    ids: Vec<(String, u64, Option<u64>)>,
    /// The latest expiry among the ids that were forgotten, in seconds since 1970.
    forgotten: u64,
}

#[cfg(test)]
impl UsedTokens {
    /// A token that expires and one that does not.
    pub(crate) fn example() -> Self {
        let ids = vec![("one".to_owned(), 1_900_000_000, Some(60_000)), ("two".to_owned(), u64::MAX, None)];
        Self { ids, forgotten: 1_800_000_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two clocks of a machine. The system's clock says 50 at the start.
    struct Clocks(Instant, TokenReplayCache);

    impl Clocks {
        fn new() -> Self {
            Self(Instant::now(), TokenReplayCache::default())
        }

        /// Sets the system's clock to `now` and the monotonic clock to the given seconds since the start.
        fn take(&self, name: &str, expires: u64, now: u64, passed: u64) -> Result<(), ReplayError> {
            self.1.take(name, expires, now, self.0 + Duration::from_secs(passed))
        }
    }

    #[test]
    fn a_name_is_taken_until_it_expires() {
        let it = Clocks::new();
        assert_eq!((it.take("a", 100, 50, 0), it.take("b", 200, 50, 0)), (Ok(()), Ok(())));
        assert_eq!(it.take("a", 300, 99, 49), Err(ReplayError::Used));
        assert_eq!(
            (it.take("a", 300, 100, 50), it.take("b", 300, 199, 149)),
            (Ok(()), Err(ReplayError::Used))
        );
    }

    #[test]
    fn a_clock_that_jumps_makes_no_token_good_again() {
        let it = Clocks::new();
        assert_eq!(it.take("a", 100, 50, 0), Ok(()));
        // The system's clock is an hour ahead for a moment, while other tokens come.
        assert_eq!(it.take("b", 4000, 3650, 0), Ok(()));
        assert_eq!(it.take("a", 100, 51, 1), Err(ReplayError::Used));
        // The system's clock is set back: an id that has expired by the monotonic clock alone is still kept.
        assert_eq!(it.take("c", 60, 10, 51), Ok(()));
        assert_eq!(it.take("a", 100, 10, 51), Err(ReplayError::Used));
        // Ids that have expired by both clocks are forgotten, and their tokens are still refused.
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
        assert_eq!(it.take("a", u64::MAX, u64::MAX - 1, 1), Err(ReplayError::Used));
    }

    #[test]
    fn another_process_goes_on_with_them() {
        let it = Clocks::new();
        assert_eq!((it.take("a", 100, 50, 0), it.take("b", u64::MAX, 50, 0)), (Ok(()), Ok(())));
        assert_eq!(it.take("c", 60, 50, 0), Ok(()));
        assert_eq!(it.take("d", 100, 61, 11), Ok(()), "the first is forgotten");
        let other = Clocks(it.0, TokenReplayCache::default());
        other.1.import(it.1.export(it.0 + Duration::from_secs(20)), it.0 + Duration::from_secs(20));
        for (id, expires, refused) in
            [("a", 100, ReplayError::Used), ("b", 100, ReplayError::Used), ("c", 60, ReplayError::Unknown)]
        {
            assert_eq!(other.take(id, expires, 70, 20), Err(refused), "{id}");
        }
        assert_eq!((other.take("a", 300, 100, 50), other.take("e", 300, 100, 50)), (Ok(()), Ok(())));
    }

    #[test]
    fn none_is_forgotten_early() {
        let it = Clocks::new();
        for number in 0..MOST {
            assert_eq!(it.take(&number.to_string(), 100 + number as u64, 0, 0), Ok(()));
        }
        assert_eq!(it.take("one more", 1000, 99, 99), Err(ReplayError::Full));
        assert_eq!(it.take("7", 1000, 99, 99), Err(ReplayError::Used));
        // The system's clock was wrong when these came, so it alone makes room.
        assert_eq!(it.take("one more", 1000, 100, 0), Ok(()));
        assert_eq!(it.take("yet one", 1000, 100, 0), Err(ReplayError::Full));
    }
}
