//! The index of which shards hold a uid or a group. All shards share it, so that a message to one uid reaches only the shards
//! that have it.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{DefaultHashBuilder, HashMap};
use smallvec::SmallVec;

/// The number of parts of the index, each with a lock of its own, so that threads seldom wait for each other.
pub(crate) const STRIPES: usize = 64;

/// Is told when a name gets its first member on this server and when it loses its last one. The calls for each name come in the
/// order of the events, while a lock of the index is held, so they must not wait.
pub trait NameWatch: Send + Sync {
    fn first(&self, sort: NameKind, name: &[u8]);
    fn last(&self, sort: NameKind, name: &[u8]);
}

/// The kind of a name in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameKind {
    Uid,
    Group,
}

/// For one name, the number of its members on each shard: (shard, members).
type Holders = SmallVec<[(u16, u32); 1]>;
/// One part of the index: the members of each name in it.
type Stripe = HashMap<Arc<[u8]>, Holders>;

/// Counts, for each name, the members that each shard has.
///
/// The thread that asks for a membership counts it here *before* it tells the shard, so that a push that the same sender makes
/// afterwards finds the shard. A membership that does not come about is taken back, and so is one that ends.
pub(crate) struct Index {
    stripes: Box<[Mutex<Stripe>]>,
    hasher: DefaultHashBuilder,
    watch: Option<(NameKind, Arc<dyn NameWatch>)>,
}

impl Index {
    pub(crate) fn new(watch: Option<(NameKind, Arc<dyn NameWatch>)>) -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hasher: DefaultHashBuilder::default(),
            watch,
        }
    }

    pub(super) fn add(&self, name: &[u8], shard: u16) {
        let mut stripe = self.stripe(name);
        let Some(holders) = stripe.get_mut(name) else {
            stripe.insert(name.into(), SmallVec::from_iter([(shard, 1)]));
            if let Some((sort, watch)) = &self.watch {
                watch.first(*sort, name);
            }
            return;
        };
        match holders.iter_mut().find(|(holder, _)| *holder == shard) {
            Some((_, members)) => *members += 1,
            None => holders.push((shard, 1)),
        }
    }

    pub(super) fn remove(&self, name: &[u8], shard: u16) {
        let mut stripe = self.stripe(name);
        let Some(holders) = stripe.get_mut(name) else { return };
        if let Some(at) = holders.iter().position(|(holder, _)| *holder == shard) {
            holders[at].1 -= 1;
            if holders[at].1 == 0 {
                holders.swap_remove(at);
            }
        }
        if holders.is_empty() {
            stripe.remove(name);
            if let Some((sort, watch)) = &self.watch {
                watch.last(*sort, name);
            }
            // The map gives memory back after a peak.
            if stripe.len() < stripe.capacity() / 8 {
                stripe.shrink_to_fit();
            }
        }
    }

    pub(crate) fn shards(&self, name: &[u8]) -> SmallVec<[u16; 8]> {
        self.stripe(name)
            .get(name)
            .map_or_else(SmallVec::new, |holders| holders.iter().map(|(shard, _)| *shard).collect())
    }

    /// Calls `visit` with each name of one of the [`STRIPES`].
    pub(crate) fn each_name(&self, stripe: usize, visit: &mut dyn FnMut(&[u8])) {
        let stripe = self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner);
        stripe.keys().for_each(|name| visit(name));
    }

    /// The number of names that have members.
    pub(crate) fn len(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// The name as the index stores it, so that the shards and their connections share its memory.
    pub(super) fn keep(&self, name: &[u8]) -> Arc<[u8]> {
        let stripe = self.stripe(name);
        stripe.get_key_value(name).map_or_else(|| name.into(), |(kept, _)| Arc::clone(kept))
    }

    fn stripe(&self, name: &[u8]) -> MutexGuard<'_, Stripe> {
        let stripe = self.hasher.hash_one(name) as usize % STRIPES;
        self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_members_per_shard() {
        let index = Index::new(None);
        index.add(b"alice", 0);
        index.add(b"alice", 2);
        index.add(b"alice", 2);
        assert_eq!(index.shards(b"alice").as_slice(), [0, 2]);
        index.remove(b"alice", 2);
        assert_eq!(index.shards(b"alice").as_slice(), [0, 2]);
        index.remove(b"alice", 2);
        assert_eq!(index.shards(b"alice").as_slice(), [0]);
        index.remove(b"alice", 0);
        assert!(index.shards(b"alice").is_empty());
        assert!(index.stripes.iter().all(|stripe| stripe.lock().unwrap().is_empty()));
        index.remove(b"alice", 0);
    }
}
