//! What the thread of a store is asked to do, and what that costs in memory until it is done.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::model::{PageRequest, Producer, Receipt, Totals, UidInbox, UidSummary, WaitingPage};
use super::notices::Notice;
use super::pause::Pause;
use super::store::{Operation, Outcome, StoreError};

/// Why a store gives no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("the store is slow: it has been writing for more than a second")]
    Slow,
    #[error("the store has too much to do")]
    QueueFull,
    #[error("the store has ended")]
    Ended,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where the answer to a request goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, Unavailable>>;

/// A request to the thread of a store.
pub(super) enum Request {
    Apply(Vec<Operation>, Answer<Vec<Outcome>>),
    Read(Read),
    /// Close the store for a while.
    Pause(Pause),
}

/// A request that changes nothing.
pub(super) enum Read {
    Waiting { page: PageRequest, answer: Answer<WaitingPage> },
    Receipt { id: Box<str>, uids: usize, answer: Answer<Vec<Receipt>> },
    Uids { after: Bytes, limit: usize, answer: Answer<Vec<UidSummary>> },
    InboxOf { uid: Bytes, answer: Answer<Option<UidInbox>> },
    Progress { producer: Producer, answer: Answer<Option<u64>> },
    Notices { limit: usize, bytes: usize, answer: Answer<Vec<Notice>> },
    Totals { answer: Answer<Totals> },
}

/// The bytes that a request takes besides what it holds, roughly: the allocations of its parts and of its answer.
const OVERHEAD: usize = 256;

impl Request {
    /// Gives the bytes that the request takes in memory.
    pub(super) fn cost(&self) -> usize {
        OVERHEAD
            + size_of::<Self>()
            + match self {
                Self::Apply(operations, _) => operations.iter().map(cost).sum(),
                Self::Read(Read::Waiting { page, .. }) => page.uid.len() + page.device.as_row().1.len(),
                Self::Read(Read::Receipt { id, .. }) => id.len(),
                Self::Read(Read::InboxOf { uid, .. } | Read::Uids { after: uid, .. }) => uid.len(),
                Self::Read(Read::Progress { .. } | Read::Notices { .. } | Read::Totals { .. })
                | Self::Pause(_) => 0,
            }
    }
}

impl Read {
    /// Gives the uid whose inbox is read.
    pub(super) fn uid(&self) -> Option<&Bytes> {
        match self {
            Self::Waiting { page: PageRequest { uid, .. }, .. } | Self::InboxOf { uid, .. } => Some(uid),
            Self::Uids { .. }
            | Self::Receipt { .. }
            | Self::Progress { .. }
            | Self::Notices { .. }
            | Self::Totals { .. } => None,
        }
    }
}

/// Gives the uid that an operation concerns.
pub(super) fn uid_of(operation: &Operation) -> Option<&Bytes> {
    match operation {
        Operation::Deliver(message) => Some(&message.uid),
        Operation::Arrive { uid, .. }
        | Operation::Written { uid, .. }
        | Operation::Acknowledge { uid, .. }
        | Operation::Read { uid, .. }
        | Operation::LostTold { uid, .. }
        | Operation::Forget { uid } => Some(uid),
        Operation::Expire { .. } | Operation::TellUndelivered { .. } | Operation::NoticesTold { .. } => None,
    }
}

/// Gives the bytes that an operation takes in memory.
fn cost(operation: &Operation) -> usize {
    let uid = uid_of(operation).map_or(0, Bytes::len);
    let more = match operation {
        Operation::Deliver(message) => {
            message.payload.len() + message.id.len() + message.replace.as_ref().map_or(0, |key| key.len())
        }
        Operation::Arrive { device, .. }
        | Operation::Written { device, .. }
        | Operation::Acknowledge { device, .. }
        | Operation::Read { device, .. }
        | Operation::LostTold { device, .. } => device.as_row().1.len(),
        Operation::Forget { .. }
        | Operation::Expire { .. }
        | Operation::TellUndelivered { .. }
        | Operation::NoticesTold { .. } => 0,
    };
    size_of::<Operation>() + OVERHEAD + uid + more
}
