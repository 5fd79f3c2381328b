//! The identity that a client has from the start: the uid, groups and session of its connect token.

use std::sync::Arc;

use bytes::Bytes;

use super::claim::NameClaim;
use super::index::Index;
use crate::inbox::model::Device;
use crate::shard::Name;

/// What the connect token says of a client. The client is bound to it before anybody learns that the client is there.
#[derive(Debug)]
pub struct Identity {
    pub uid: Name,
    /// The client's groups: no more than the setting allows, and each of them once.
    pub groups: Vec<Name>,
    /// The session: a serialized PHP array, or empty.
    pub session: Bytes,
    /// The device that the token names.
    pub device: Option<Device>,
}

/// An identity on its way to a shard. Its uid and groups are counted in the index already.
pub(crate) struct ClaimedIdentity {
    pub(super) uid: NameClaim,
    pub(super) groups: Vec<NameClaim>,
    pub(super) session: Bytes,
}

impl ClaimedIdentity {
    pub(crate) fn new(identity: Identity, uids: &Arc<Index>, groups: &Arc<Index>, shard: usize) -> Self {
        let Identity { uid, groups: names, session, device: _ } = identity;
        let uid = NameClaim::new(uids, &uid, shard);
        let groups = names.iter().map(|group| NameClaim::new(groups, group, shard)).collect();
        Self { uid, groups, session }
    }

    /// The memory that the identity takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        let groups: usize = self.groups.iter().map(|group| size_of::<NameClaim>() + group.name().len()).sum();
        size_of::<Self>() + self.uid.name().len() + groups + self.session.len()
    }
}
