//! Helpers for the lists of uids, groups and clients in orders.

use hashbrown::HashSet;
use std::hash::Hash;

use gateway_wire::bridge::PhpStr;

/// Gives the ids of `only` that are not in `except`, sorted and each once. Both lists may be long, so this hashes and never
/// compares each with each.
pub(super) fn without<T: Copy + Eq + Hash + Ord>(mut only: Vec<T>, except: &[T]) -> Vec<T> {
    if !except.is_empty() {
        let except: HashSet<T> = except.iter().copied().collect();
        only.retain(|one| !except.contains(one));
    }
    only.sort_unstable();
    only.dedup();
    only
}

pub(super) fn bytes<'a>(names: &'a [PhpStr]) -> impl Iterator<Item = &'a [u8]> {
    names.iter().map(|name| &***name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_listed_twice_gets_it_once() {
        assert_eq!(without(vec![2, 1, 2, 2, 1], &[]), [1, 2]);
        assert_eq!(without(vec![2, 1, 2], &[1, 1]), [2]);
    }

    #[test]
    fn long_lists_are_subtracted_in_no_time() {
        assert_eq!(without(vec![3, 1, 2, 1], &[1, 5]), [2, 3]);
        // Comparing each id with each other would take 250 thousand million comparisons, which is minutes.
        let (only, except): (Vec<_>, Vec<_>) = ((0..500_000).collect(), (400_000..900_000).collect());
        assert_eq!(without(only, &except).len(), 400_000);
    }
}
