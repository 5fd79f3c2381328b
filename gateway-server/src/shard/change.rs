//! What is changed of what a shard keeps about a client.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::Name;
use super::claim::NameClaim;
use super::membership::TooManyGroups;
use super::session::{SessionError, Snapshot};

/// What is kept about a client.
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
    /// `back` is told what to merge elsewhere instead, if that is much and `in_shard` does not want it here all the same.
    UpdateSession {
        changes: Bytes,
        in_shard: bool,
        back: oneshot::Sender<Result<Option<Snapshot>, SessionError>>,
    },
    /// What was merged elsewhere; `back` is told whether the session is still what it was merged with.
    ReplaceSession {
        before: Snapshot,
        merged: Arc<[u8]>,
        back: oneshot::Sender<bool>,
    },
}
