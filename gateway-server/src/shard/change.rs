//! Changes to what a shard keeps about a client: its uid, its groups and its session.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::Name;
use super::claim::NameClaim;
use super::membership::TooManyGroups;
use super::session::{SessionError, Snapshot};

/// A change to what a shard keeps about one client.
pub(crate) enum Change {
    Bind {
        uid: NameClaim,
    },
    Unbind,
    Join {
        group: NameClaim,
        back: oneshot::Sender<Result<(), TooManyGroups>>,
    },
    Leave {
        group: Name,
    },
    SetSession {
        serialized: Bytes,
    },
    /// Merges `changes` into the session. If that is much work and `in_shard` is false, the shard leaves the session as it is and
    /// sends a snapshot through `back`, with which the caller merges in its own thread; else it sends `None` once the merge is
    /// done.
    UpdateSession {
        changes: Bytes,
        in_shard: bool,
        back: oneshot::Sender<Result<Option<Snapshot>, SessionError>>,
    },
    /// Puts a session that was merged outside the shard in place of the one of the snapshot `before`. The shard sends false
    /// through `back`, and changes nothing, if the session has changed since that snapshot.
    ReplaceSession {
        before: Snapshot,
        merged: Arc<[u8]>,
        back: oneshot::Sender<bool>,
    },
}
