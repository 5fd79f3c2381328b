//! The receivers of a message: all clients, some connections, uids or groups.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Name;

/// The clients that get a message. Connections are named by their connection ids, the random part of a client_id.
#[derive(PartialEq, Eq)]
pub(crate) enum Audience {
    /// All clients of the shard, except some.
    All { except: Except },
    /// Connections by their ids; ids without a client are skipped.
    Connections(SmallVec<[u32; 4]>),
    /// These connections, but for those that are not bound to the uid any more.
    Bound { uid: Name, connections: SmallVec<[u32; 4]> },
    /// All clients of each of these uids.
    Uids(SmallVec<[Name; 1]>),
    /// All members of each of these groups, except some.
    Groups { groups: SmallVec<[Name; 1]>, except: Except },
}

impl Audience {
    /// The largest number of connections that one part of [`Audience::Connections`] names.
    pub(super) const PART: usize = 4096;

    /// The number of parts in which a delivery visits its receivers, one part after the other. Each part has at most
    /// [`Audience::PART`] receivers or, for a uid, a group or everybody, no more than the shard has clients: this bounds what
    /// waits to be written between two parts.
    pub(super) fn parts(&self) -> usize {
        match self {
            Self::All { .. } | Self::Bound { .. } => 1,
            Self::Connections(connection_ids) => connection_ids.len().div_ceil(Self::PART),
            Self::Uids(uids) => uids.len(),
            Self::Groups { groups, .. } => groups.len(),
        }
    }
}

/// The ids of the connections that a broadcast leaves out, sorted, so that [`Except::has`] can search them.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Except(Option<Arc<[u32]>>);

impl Except {
    pub(crate) fn new(mut connection_ids: Vec<u32>) -> Self {
        connection_ids.sort_unstable();
        Self((!connection_ids.is_empty()).then(|| connection_ids.into()))
    }

    pub(super) fn has(&self, connection_id: u32) -> bool {
        self.0.as_ref().is_some_and(|connection_ids| connection_ids.binary_search(&connection_id).is_ok())
    }

    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |connection_ids| connection_ids.len())
    }
}
