//! The uids and groups of the connections of one shard.

use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap};
use indexmap::IndexSet;
use smallvec::SmallVec;

use super::claim::NameClaim;
use super::index::Index;
use super::packed_bytes::PackedBytes;

/// For each uid, or for each group, the connections of this shard that hold it. Every change is counted in the shared [`Index`].
pub(super) struct NameTable {
    holders: HashMap<Arc<[u8]>, Keys>,
    index: Arc<Index>,
    shard: u16,
}

/// The error of a client that joins more groups than it may. It holds the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client is in {0} groups already, and in no more (max_groups_per_client)")]
pub struct TooManyGroups(usize);

/// The uid and the groups of one connection. The names share the memory of those in the [`NameTable`].
#[derive(Default)]
pub(super) struct Memberships {
    pub(super) uid: Option<Arc<[u8]>>,
    pub(super) groups: Vec<Arc<[u8]>>,
}

impl NameTable {
    pub(super) fn new(index: Arc<Index>, shard: u16) -> Self {
        Self { holders: HashMap::new(), index, shard }
    }

    /// The number of names.
    pub(super) fn len(&self) -> usize {
        self.holders.len()
    }

    /// Makes room for so many more names.
    pub(super) fn reserve(&mut self, names: usize) {
        self.holders.reserve(names);
        self.index.reserve(names);
    }

    /// Counts one more member of a name in the index, before a connection gets it.
    pub(super) fn claim(&self, name: &[u8]) -> NameClaim {
        NameClaim::new(&self.index, name, self.shard.into())
    }

    pub(super) fn holders(&self, name: &[u8]) -> impl Iterator<Item = usize> {
        self.holders.get(name).into_iter().flat_map(Keys::iter)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.holders.keys().map(|name| &**name)
    }

    pub(super) fn count(&self, name: &[u8]) -> usize {
        self.holders.get(name).map_or(0, Keys::len)
    }

    /// Says whether a connection holds a name.
    pub(super) fn is_held_by(&self, name: &[u8], key: usize) -> bool {
        self.holders.get(name).is_some_and(|keys| keys.has(key))
    }

    pub(super) fn is_held(&self, name: &[u8]) -> bool {
        self.holders.contains_key(name)
    }

    /// Adds a connection to a name. Gives the name as the table stores it, or `None` if the connection held it already.
    fn add(&mut self, claim: NameClaim, key: usize) -> Option<Arc<[u8]>> {
        let name = claim.name();
        let kept = match self.holders.get_key_value_mut(&**name) {
            Some((kept, keys)) => keys.insert(key).then(|| Arc::clone(kept))?,
            None => {
                let mut keys = Keys::default();
                keys.insert(key);
                self.holders.insert(Arc::clone(name), keys);
                Arc::clone(name)
            }
        };
        claim.keep();
        Some(kept)
    }

    fn remove(&mut self, name: &[u8], key: usize) {
        let Some(keys) = self.holders.get_mut(name) else { return };
        keys.remove(key);
        if keys.len() == 0 {
            self.holders.remove(name);
            // The map gives memory back after a peak.
            if self.holders.len() < self.holders.capacity() / 8 {
                self.holders.shrink_to_fit();
            }
        }
        self.index.remove(name, self.shard);
    }
}

/// The names of a table, and who holds each, in a few large blocks of memory.
pub(super) struct PackedNames {
    bytes: PackedBytes,
    names: Vec<PackedName>,
    /// The keys of the connections that hold the first name, then of those that hold the second, and so on.
    keys: Vec<u32>,
}

/// A name of which the bytes and the keys stand elsewhere.
struct PackedName {
    length: u32,
    holders: u32,
    /// Whether the index has forgotten the members.
    is_packed_in_index: bool,
}

impl NameTable {
    /// Empties the table into less memory. Until [`NameTable::unpack`] nobody may use it, and no holder of a name may change.
    pub(super) fn pack(&mut self) -> PackedNames {
        let holders = std::mem::take(&mut self.holders);
        self.index.begin_packing(self.shard);
        let mut packed = PackedNames {
            bytes: PackedBytes::default(),
            names: Vec::with_capacity(holders.len()),
            keys: Vec::with_capacity(holders.values().map(Keys::len).sum()),
        };
        for (name, keys) in holders {
            packed.bytes.push(&name);
            packed.keys.extend(keys.iter().map(|key| key as u32));
            packed.names.push(PackedName {
                length: name.len() as u32,
                holders: keys.len() as u32,
                is_packed_in_index: self.index.pack(&name, self.shard, keys.len()),
            });
        }
        self.index.shrink();
        packed
    }

    /// Fills the table again. `give` gets the key of each holder, with the name as the table stores it.
    pub(super) fn unpack(&mut self, packed: PackedNames, mut give: impl FnMut(usize, &Arc<[u8]>)) {
        let PackedNames { mut bytes, names, keys } = packed;
        let mut keys = keys.into_iter();
        self.holders.reserve(names.len());
        for PackedName { length, holders, is_packed_in_index } in names {
            let name = bytes.take(length as usize);
            let kept = match is_packed_in_index {
                true => self.index.unpack(name, self.shard, holders as usize),
                false => self.index.keep(name),
            };
            let mut held = Keys::default();
            for key in keys.by_ref().take(holders as usize) {
                held.insert(key as usize);
                give(key as usize, &kept);
            }
            self.holders.insert(kept, held);
        }
        self.index.end_packing(self.shard);
    }
}

impl Memberships {
    /// Binds the connection to a uid. A connection has one uid at most, so an earlier one is given up.
    pub(super) fn bind(&mut self, uids: &mut NameTable, uid: NameClaim, key: usize) {
        if self.uid.as_deref().is_some_and(|bound| *bound != **uid.name()) {
            self.unbind(uids, key);
        }
        if let Some(kept) = uids.add(uid, key) {
            self.uid = Some(kept);
        }
    }

    pub(super) fn unbind(&mut self, uids: &mut NameTable, key: usize) {
        if let Some(uid) = self.uid.take() {
            uids.remove(&uid, key);
        }
    }

    /// Adds the connection to a group. After an error its groups are as they were.
    pub(super) fn join(
        &mut self,
        groups: &mut NameTable,
        group: NameClaim,
        key: usize,
        limit: usize,
    ) -> Result<(), TooManyGroups> {
        if self.groups.len() >= limit && !self.groups.iter().any(|joined| *joined == *group.name()) {
            return Err(TooManyGroups(limit));
        }
        if let Some(kept) = groups.add(group, key) {
            self.groups.push(kept);
        }
        Ok(())
    }

    pub(super) fn leave(&mut self, groups: &mut NameTable, group: &[u8], key: usize) {
        if let Some(at) = self.groups.iter().position(|joined| **joined == *group) {
            self.groups.swap_remove(at);
            groups.remove(group, key);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.uid.is_none() && self.groups.is_empty()
    }

    pub(super) fn leave_all(&mut self, uids: &mut NameTable, groups: &mut NameTable, key: usize) {
        self.unbind(uids, key);
        for group in std::mem::take(&mut self.groups) {
            groups.remove(&group, key);
        }
    }
}

/// A set of connection keys. A uid nearly always has a few, a group may have very many.
enum Keys {
    Few(SmallVec<[u32; 4]>),
    Many(Box<IndexSet<u32, DefaultHashBuilder>>),
}

/// The largest number of keys that stand in an array.
const FEW: usize = 16;

impl Default for Keys {
    fn default() -> Self {
        Self::Few(SmallVec::new())
    }
}

impl Keys {
    fn insert(&mut self, key: usize) -> bool {
        let key = key as u32;
        match self {
            Self::Few(keys) if keys.contains(&key) => false,
            Self::Few(keys) if keys.len() < FEW => {
                keys.push(key);
                true
            }
            Self::Few(keys) => {
                let mut many: Box<IndexSet<_, _>> = Box::new(keys.drain(..).collect());
                let is_new = many.insert(key);
                *self = Self::Many(many);
                is_new
            }
            Self::Many(keys) => keys.insert(key),
        }
    }

    fn remove(&mut self, key: usize) {
        let key = key as u32;
        match self {
            Self::Few(keys) => {
                if let Some(at) = keys.iter().position(|held| *held == key) {
                    keys.swap_remove(at);
                }
            }
            Self::Many(keys) => {
                keys.swap_remove(&key);
                if keys.len() < FEW / 2 {
                    *self = Self::Few(keys.drain(..).collect());
                }
            }
        }
    }

    fn has(&self, key: usize) -> bool {
        let key = key as u32;
        match self {
            Self::Few(keys) => keys.contains(&key),
            Self::Many(keys) => keys.contains(&key),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Few(keys) => keys.len(),
            Self::Many(keys) => keys.len(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        let (few, many) = match self {
            Self::Few(keys) => (Some(keys.iter()), None),
            Self::Many(keys) => (None, Some(keys.iter())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten()).map(|key| *key as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (NameTable, Arc<Index>) {
        let index = Arc::new(Index::new(None));
        (NameTable::new(Arc::clone(&index), 0), index)
    }

    fn claim(index: &Arc<Index>, name: &str) -> NameClaim {
        NameClaim::new(index, name.as_bytes(), 0)
    }

    fn held(names: &NameTable, name: &[u8]) -> Vec<usize> {
        let mut keys: Vec<_> = names.holders(name).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn binding_again_moves_and_the_index_follows() {
        let (mut uids, index) = names();
        let mut one = Memberships::default();
        one.bind(&mut uids, claim(&index, "alice"), 1);
        one.bind(&mut uids, claim(&index, "alice"), 1);
        assert_eq!(held(&uids, b"alice"), [1]);
        one.bind(&mut uids, claim(&index, "bob"), 1);
        assert!(!uids.is_held(b"alice"));
        assert!(index.shards(b"alice").is_empty());
        assert_eq!(held(&uids, b"bob"), [1]);
        one.unbind(&mut uids, 1);
        one.unbind(&mut uids, 1);
        assert!(index.shards(b"bob").is_empty() && uids.holders.is_empty());
    }

    #[test]
    fn a_packed_table_is_what_it_was_once_it_is_unpacked() {
        let (mut groups, index) = names();
        let mut members: Vec<_> = (0..100).map(|_| Memberships::default()).collect();
        for (key, member) in members.iter_mut().enumerate() {
            for name in ["all", ["even", "odd"][key % 2], &format!("of {key}"), ""] {
                member.join(&mut groups, claim(&index, name), key, 4).unwrap();
            }
        }
        let pending = claim(&index, "odd");
        for _ in 0..2 {
            let packed = groups.pack();
            assert_eq!((groups.holders.capacity(), index.len()), (0, 1));
            members.iter_mut().for_each(|member| *member = Memberships::default());
            groups.unpack(packed, |key, name| members[key].groups.push(Arc::clone(name)));
            assert_eq!((groups.holders.len(), index.len()), (104, 104));
            assert_eq!(held(&groups, b"all"), (0..100).collect::<Vec<_>>());
            assert_eq!(held(&groups, b"odd"), (1..100).step_by(2).collect::<Vec<_>>());
            assert_eq!(held(&groups, b"of 7"), [7]);
            for (key, member) in members.iter_mut().enumerate() {
                member.groups.sort();
                let own = format!("of {key}");
                let names = [&b""[..], b"all", [&b"even"[..], b"odd"][key % 2], own.as_bytes()];
                let mut names = names.to_vec();
                names.sort_unstable();
                assert!(member.groups.iter().map(|name| &**name).eq(names), "{key}");
                // A name stands once in memory.
                assert!(member.groups.iter().all(|name| Arc::ptr_eq(name, &index.keep(name))));
            }
        }
        drop(pending);
        let (mut uids, _) = names();
        for (key, member) in members.iter_mut().enumerate() {
            member.leave_all(&mut uids, &mut groups, key);
        }
        assert_eq!((groups.holders.len(), index.len()), (0, 0));
    }

    #[test]
    fn groups_of_any_size() {
        let (mut groups, index) = names();
        let mut members: Vec<_> = (0..100).map(|_| Memberships::default()).collect();
        for (key, member) in members.iter_mut().enumerate() {
            for _ in 0..2 {
                member.join(&mut groups, claim(&index, "all"), key, 1).unwrap();
            }
            assert_eq!(held(&groups, b"all"), (0..=key).collect::<Vec<_>>());
        }
        assert_eq!(members[0].join(&mut groups, claim(&index, "other"), 0, 1), Err(TooManyGroups(1)));
        assert!(index.shards(b"other").is_empty());
        let (mut uids, _) = names();
        for (key, member) in members.iter_mut().enumerate() {
            assert_eq!(held(&groups, b"all"), (key..100).collect::<Vec<_>>());
            member.leave(&mut groups, b"other", key);
            if key % 2 == 0 {
                member.leave(&mut groups, b"all", key);
            } else {
                member.leave_all(&mut uids, &mut groups, key);
            }
        }
        assert!(index.shards(b"all").is_empty() && groups.holders.is_empty());
    }
}
