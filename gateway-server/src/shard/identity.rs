//! Who a client is from its first moment on.

use std::sync::Arc;

use bytes::Bytes;

use super::claim::NameClaim;
use super::index::Index;
use crate::shard::Name;

/// Who a client is by its connect token. It is bound so before anybody is told of it.
#[derive(Debug)]
pub struct Identity {
    pub uid: Name,
    /// No more than a client may be in, and none twice.
    pub groups: Vec<Name>,
    /// A serialized PHP array, or nothing.
    pub session: Bytes,
}

/// An identity on its way to a shard: its names count already.
pub(crate) struct ClaimedIdentity {
    pub(super) uid: NameClaim,
    pub(super) groups: Vec<NameClaim>,
    pub(super) session: Bytes,
}

impl ClaimedIdentity {
    pub(crate) fn new(identity: Identity, uids: &Arc<Index>, groups: &Arc<Index>, shard: usize) -> Self {
        let Identity { uid, groups: names, session } = identity;
        let uid = NameClaim::new(uids, uid, shard);
        let groups = names.into_iter().map(|group| NameClaim::new(groups, group, shard)).collect();
        Self { uid, groups, session }
    }

    /// The bytes that it holds.
    pub(super) fn weight(&self) -> usize {
        let groups: usize = self.groups.iter().map(|group| size_of::<NameClaim>() + group.name().len()).sum();
        size_of::<Self>() + self.uid.name().len() + groups + self.session.len()
    }
}
