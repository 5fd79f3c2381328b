//! The server's end of a client as plain values, for another process of the same node that goes on with it.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::init::GapReason;

/// The largest number of messages that an end may claim to have sent or taken, so that counting on cannot overflow.
pub(super) const MOST_MESSAGES: u64 = 1 << 62;

/// A server's end. `E` stands for an entry that is kept to be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedEnd<E> {
    /// The counts in both directions.
    pub counts: ExportedCounts<E>,
    /// The number of the newest secret that the client has shown to have.
    pub proven: Option<NonZeroU32>,
    /// The number of the secret of the last init.
    pub latest: NonZeroU32,
}

/// The counts in both directions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedCounts<E> {
    /// The number of messages that were sent.
    pub sent: u64,
    /// The number of messages that were taken.
    pub taken: u64,
    /// Everything else, or `None` while each end knows that the other has taken all.
    pub open: Option<ExportedOpen<E>>,
}

/// The part of the counts that an idle end does without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedOpen<E> {
    /// The number of messages that the other end has said that it has seen.
    pub seen: u64,
    /// The messages that the other end was not told of: their number, their bytes, and the time at which the first came.
    pub untold: (u64, u64, Duration),
    /// Whether somebody has noted when the other end has to be told.
    pub is_noted: bool,
    /// Why nothing is kept to be sent again, if nothing is.
    pub gap: Option<GapReason>,
    /// The entries that are kept, each with the number of its messages.
    pub entries: Vec<(E, u32)>,
}
