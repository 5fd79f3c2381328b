//! Tokens that were good once, remembered until nobody would take them anyway.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Each has at most 128 bytes, and some more for its places here.
const MOST: usize = 200_000;

#[derive(Default)]
pub(super) struct Used(Mutex<Names>);

#[derive(Default)]
struct Names {
    names: HashSet<Arc<str>>,
    by_expiry: BTreeSet<(u64, Arc<str>)>,
}

/// None can be taken before one of them expires: to forget one early would make it good again.
#[derive(Debug)]
pub(super) struct Full;

impl Used {
    /// Whether the name is free, as it is not from now on.
    pub(super) fn take(&self, name: &str, expires: u64, now: u64) -> Result<bool, Full> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Names { names, by_expiry } = &mut *used;
        while by_expiry.first().is_some_and(|(expires, _)| *expires <= now)
            && let Some((_, expired)) = by_expiry.pop_first()
        {
            names.remove(&expired);
        }
        if names.contains(name) {
            return Ok(false);
        }
        if names.len() == MOST {
            return Err(Full);
        }
        let name: Arc<str> = name.into();
        names.insert(Arc::clone(&name));
        by_expiry.insert((expires, name));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_until_it_expires() {
        let used = Used::default();
        assert!(used.take("a", 100, 50).unwrap() && used.take("b", 200, 50).unwrap());
        assert!(!used.take("a", 300, 99).unwrap());
        assert!(used.take("a", 300, 100).unwrap() && !used.take("b", 300, 199).unwrap());
    }

    #[test]
    fn none_is_forgotten_early() {
        let used = Used::default();
        for number in 0..MOST {
            assert!(used.take(&number.to_string(), 100 + number as u64, 0).unwrap());
        }
        used.take("one more", 1000, 99).unwrap_err();
        assert!(!used.take("7", 1000, 99).unwrap());
        assert!(used.take("one more", 1000, 100).unwrap());
        used.take("yet one", 1000, 100).unwrap_err();
    }
}
