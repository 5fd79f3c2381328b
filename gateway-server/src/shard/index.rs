//! Which shards hold a uid or a group: shared by all, so that a unicast wakes one thread.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{DefaultHashBuilder, HashMap};
use smallvec::SmallVec;

pub(crate) const STRIPES: usize = 64;

/// Told when a name gets its first member on this server and when it loses its last, in that order for each name.
pub trait NameWatch: Send + Sync {
    fn first(&self, sort: NameKind, name: &[u8]);
    fn last(&self, sort: NameKind, name: &[u8]);
}

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameKind {
    Uid,
    Group,
}

type Holders = SmallVec<[(u16, u32); 1]>;
type Stripe = HashMap<Arc<[u8]>, Holders>;

/// Counts the members that each shard holds of a name.
///
/// A member is counted by whoever asks for the membership, *before* the shard is told: so a push that follows from
/// the same sender finds the shard. What comes to nothing is taken back, and so is a member that has gone.
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
            // Give memory back after a peak.
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

    /// Gives the names of one of the [`STRIPES`].
    pub(crate) fn each_name(&self, stripe: usize, visit: &mut dyn FnMut(&[u8])) {
        let stripe = self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner);
        stripe.keys().for_each(|name| visit(name));
    }

    /// How many names are held.
    pub(crate) fn len(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// The name, kept once for all who count by it.
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
