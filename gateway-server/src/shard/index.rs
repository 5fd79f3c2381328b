//! The index of which shards hold a uid or a group. All shards share it, so that a message to one uid reaches only the shards
//! that have it.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::hash_map::EntryRef;
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

/// One part of the index.
#[derive(Default)]
struct Stripe {
    /// The members of each name.
    names: HashMap<Arc<[u8]>, Holders>,
    /// The shards whose names are packed: each of these may hold any name.
    packed: SmallVec<[u16; 4]>,
}

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

    /// Makes room for so many more names. How they are spread over the stripes nobody knows before, so it is about as much as they take.
    pub(super) fn reserve(&self, names: usize) {
        self.each_stripe().for_each(|mut stripe| stripe.names.reserve(names / STRIPES));
    }

    /// Counts one more member of a name on a shard. Gives the name as the index stores it.
    pub(super) fn add(&self, name: &[u8], shard: u16) -> Arc<[u8]> {
        let stripe = &mut self.stripe(name).names;
        let Some((kept, holders)) = stripe.get_key_value_mut(name) else {
            let kept: Arc<[u8]> = name.into();
            stripe.insert(Arc::clone(&kept), SmallVec::from_iter([(shard, 1)]));
            if let Some((sort, watch)) = &self.watch {
                watch.first(*sort, name);
            }
            return kept;
        };
        match holders.iter_mut().find(|(holder, _)| *holder == shard) {
            Some((_, members)) => *members += 1,
            None => holders.push((shard, 1)),
        }
        Arc::clone(kept)
    }

    pub(super) fn remove(&self, name: &[u8], shard: u16) {
        let stripe = &mut self.stripe(name).names;
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

    /// The shards that hold a name, and those that may hold it, as their names are packed.
    pub(crate) fn shards(&self, name: &[u8]) -> SmallVec<[u16; 8]> {
        let stripe = self.stripe(name);
        let holders = stripe.names.get(name).into_iter().flatten().map(|(shard, _)| *shard);
        let mut shards: SmallVec<[u16; 8]> = holders.collect();
        for shard in &stripe.packed {
            if !shards.contains(shard) {
                shards.push(*shard);
            }
        }
        shards
    }

    /// Calls `visit` with each name of one of the [`STRIPES`].
    pub(crate) fn each_name(&self, stripe: usize, visit: &mut dyn FnMut(&[u8])) {
        let stripe = self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner);
        stripe.names.keys().for_each(|name| visit(name));
    }

    /// The number of names that have members.
    pub(crate) fn len(&self) -> usize {
        self.each_stripe().map(|stripe| stripe.names.len()).sum()
    }

    /// The name as the index stores it, so that the shards and their connections share its memory.
    pub(super) fn keep(&self, name: &[u8]) -> Arc<[u8]> {
        let stripe = self.stripe(name);
        stripe.names.get_key_value(name).map_or_else(|| name.into(), |(kept, _)| Arc::clone(kept))
    }

    /// Says that the names of a shard are about to be packed. From now on the shard may hold any name.
    pub(super) fn begin_packing(&self, shard: u16) {
        self.each_stripe().for_each(|mut stripe| stripe.packed.push(shard));
    }

    /// Forgets the members that a shard has of a name, without a word to the watch, if these are all that are counted for it. Gives
    /// whether they are forgotten. Of an index that is watched nothing is, as others may ask for all names at any time.
    pub(super) fn pack(&self, name: &[u8], shard: u16, members: usize) -> bool {
        if self.watch.is_some() {
            return false;
        }
        let mut stripe = self.stripe(name);
        let EntryRef::Occupied(mut entry) = stripe.names.entry_ref(name) else { return false };
        // A membership that somebody has asked for, and of which the shard does not know yet, is counted besides.
        let counted = entry.get().iter().position(|one| *one == (shard, members as u32));
        let Some(at) = counted else { return false };
        entry.get_mut().swap_remove(at);
        if entry.get().is_empty() {
            entry.remove();
        }
        true
    }

    /// Gives back the memory of names that were packed.
    pub(super) fn shrink(&self) {
        for mut stripe in self.each_stripe() {
            if stripe.names.len() < stripe.names.capacity() / 8 {
                stripe.names.shrink_to_fit();
            }
        }
    }

    /// Counts the members again that [`Index::pack`] has forgotten. Gives the name as the index stores it.
    pub(super) fn unpack(&self, name: &[u8], shard: u16, members: usize) -> Arc<[u8]> {
        let members = members as u32;
        let mut stripe = self.stripe(name);
        if let Some((kept, holders)) = stripe.names.get_key_value_mut(name) {
            match holders.iter_mut().find(|(holder, _)| *holder == shard) {
                // Somebody has asked for a membership meanwhile.
                Some((_, others)) => *others += members,
                None => holders.push((shard, members)),
            }
            return Arc::clone(kept);
        }
        let kept: Arc<[u8]> = name.into();
        stripe.names.insert(Arc::clone(&kept), SmallVec::from_iter([(shard, members)]));
        kept
    }

    /// Says that all names of a shard are unpacked.
    pub(super) fn end_packing(&self, shard: u16) {
        self.each_stripe().for_each(|mut stripe| stripe.packed.retain(|packed| *packed != shard));
    }

    fn each_stripe(&self) -> impl Iterator<Item = MutexGuard<'_, Stripe>> {
        self.stripes.iter().map(|stripe| stripe.lock().unwrap_or_else(PoisonError::into_inner))
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
        assert_eq!(index.len(), 0);
        index.remove(b"alice", 0);
    }

    fn shards(index: &Index, name: &[u8]) -> Vec<u16> {
        let mut shards = index.shards(name).into_vec();
        shards.sort_unstable();
        shards
    }

    #[test]
    fn packed_names_take_no_memory_and_are_still_looked_for_where_they_were() {
        let index = Index::new(None);
        for (name, shard) in [(&b"alice"[..], 0), (b"alice", 0), (b"alice", 1), (b"bob", 1)] {
            index.add(name, shard);
        }
        // Of this membership the shard does not know yet, so what is counted for it stays.
        index.add(b"bob", 1);
        [0, 1].into_iter().for_each(|shard| index.begin_packing(shard));
        assert!(index.pack(b"alice", 0, 2) && index.pack(b"alice", 1, 1));
        assert!(!index.pack(b"bob", 1, 1) && !index.pack(b"alice", 0, 2));
        index.shrink();
        assert_eq!(index.len(), 1);
        assert_eq!((shards(&index, b"alice"), shards(&index, b"nobody")), (vec![0, 1], vec![0, 1]));
        // Somebody asks for one more membership meanwhile.
        index.add(b"alice", 0);
        let kept = [index.unpack(b"alice", 0, 2), index.unpack(b"alice", 1, 1)];
        assert!(Arc::ptr_eq(&kept[0], &kept[1]) && Arc::ptr_eq(&kept[0], &index.keep(b"alice")));
        index.end_packing(0);
        assert_eq!(shards(&index, b"nobody"), [1]);
        index.end_packing(1);
        assert!(shards(&index, b"nobody").is_empty());
        for (name, shard, members) in [(&b"alice"[..], 0, 3), (b"alice", 1, 1), (b"bob", 1, 2)] {
            for _ in 0..members {
                assert!(index.shards(name).contains(&shard));
                index.remove(name, shard);
            }
            assert!(!index.shards(name).contains(&shard));
        }
        assert_eq!(index.len(), 0);
    }

    /// Counts what it is told.
    #[derive(Default)]
    struct Told(Mutex<usize>);

    impl NameWatch for Told {
        fn first(&self, _: NameKind, _: &[u8]) {
            *self.0.lock().unwrap() += 1;
        }

        fn last(&self, _: NameKind, _: &[u8]) {
            *self.0.lock().unwrap() += 1;
        }
    }

    #[test]
    fn an_index_that_is_watched_has_all_names_at_any_time() {
        let told = Arc::new(Told::default());
        let index = Index::new(Some((NameKind::Uid, Arc::clone(&told) as Arc<dyn NameWatch>)));
        index.add(b"alice", 0);
        index.begin_packing(0);
        assert!(!index.pack(b"alice", 0, 1));
        index.shrink();
        let mut names = 0;
        (0..STRIPES).for_each(|stripe| index.each_name(stripe, &mut |_| names += 1));
        index.end_packing(0);
        assert_eq!((names, *told.0.lock().unwrap()), (1, 1));
    }
}
