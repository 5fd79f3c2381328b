//! The subjects of clients that came with a connect token: the uids that their own tokens have named, whatever PHP binds them to.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

/// The subjects of the clients of a shard, by the keys of their connections. A client without a token takes no memory, and one that is
/// still bound to the uid of its token no more than its key.
#[derive(Default)]
pub(in crate::shard) struct Subjects {
    /// The clients that are still bound to the uids of their tokens.
    bound: HashSet<u32>,
    /// The subjects of those that are not.
    others: HashMap<u32, Arc<[u8]>>,
}

impl Subjects {
    /// Notes that a client is bound to the uid of its token.
    pub(super) fn insert(&mut self, key: usize) {
        self.bound.insert(key as u32);
    }

    /// Notes that the uid of a client is about to change.
    pub(in crate::shard) fn note(&mut self, key: usize, uid: Option<&Arc<[u8]>>) {
        if !self.bound.is_empty() && self.bound.remove(&(key as u32)) {
            self.keep(key, uid);
        }
    }

    /// Keeps the uid of a client as its subject, if it has no other.
    pub(super) fn keep(&mut self, key: usize, uid: Option<&Arc<[u8]>>) {
        if let Some(uid) = uid {
            self.others.entry(key as u32).or_insert_with(|| Arc::clone(uid));
        }
    }

    /// The subject of a client that came with a token, and is bound to `uid` now.
    pub(super) fn of_token<'a>(&'a self, key: usize, uid: Option<&'a [u8]>) -> Option<&'a [u8]> {
        if self.bound.contains(&(key as u32)) { uid } else { self.of(key) }
    }

    /// The subject of a client, unless it is the uid that the client is bound to.
    pub(in crate::shard) fn of(&self, key: usize) -> Option<&[u8]> {
        self.others.get(&(key as u32)).map(|subject| &**subject)
    }

    /// Whether a client is still bound to the uid of its token.
    pub(super) fn is_bound(&self, key: usize) -> bool {
        self.bound.contains(&(key as u32))
    }

    pub(super) fn forget(&mut self, key: usize) {
        let key = key as u32;
        // Memory is given back after a peak.
        if self.bound.remove(&key) && self.bound.len() < self.bound.capacity() / 8 {
            self.bound.shrink_to_fit();
        }
        if self.others.remove(&key).is_some() && self.others.len() < self.others.capacity() / 8 {
            self.others.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_uid_of_a_client_with_a_token_stays_its_subject() {
        let mut subjects = Subjects::default();
        let uids = ["alice", "bob"].map(|uid| Arc::<[u8]>::from(uid.as_bytes()));
        subjects.insert(1);
        assert_eq!(subjects.of(1), None);
        assert_eq!(
            (subjects.of_token(1, Some(b"alice")), subjects.of_token(2, Some(b"bob"))),
            (Some(&b"alice"[..]), None)
        );
        subjects.note(1, Some(&uids[0]));
        subjects.note(1, Some(&uids[1]));
        // Who came without a token has no subject.
        subjects.note(2, Some(&uids[0]));
        assert_eq!((subjects.of(1), subjects.of(2)), (Some(&b"alice"[..]), None));
        assert_eq!(subjects.of_token(1, Some(b"bob")), Some(&b"alice"[..]));
        subjects.keep(1, Some(&uids[1]));
        subjects.keep(2, Some(&uids[1]));
        assert_eq!((subjects.of(1), subjects.of(2)), (Some(&b"alice"[..]), Some(&b"bob"[..])));
        [1, 2].into_iter().for_each(|key| subjects.forget(key));
        assert!(subjects.bound.is_empty() && subjects.others.is_empty());
    }
}
