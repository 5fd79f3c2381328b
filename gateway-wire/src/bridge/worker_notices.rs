//! What a worker is told of messages in the inbox without asking: what devices have received and users have read, and what no device has
//! acknowledged in time.
//!
//! A worker that handles such notices says so once ([`WorkerToServer::TakeNotices`](super::WorkerToServer::TakeNotices)), behind its join.
//! The gateway gives each batch to one worker alone, and the next one after that has been handled. A batch whose worker ends before it
//! has said so goes to another worker, so a notice may come twice, but none is lost.

use serde::{Deserialize, Serialize};

/// A batch of notices, in the order in which they were noted. No frame of a batch has more than
/// [`MAX_REPLY`](super::frame::MAX_REPLY) bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerNotices<'a> {
    /// The number of the batch, which the worker repeats once it has handled all of it.
    pub number: u64,
    /// What devices have received and users have read.
    #[serde(borrow)]
    pub receipts: Vec<ReceiptNotice<'a>>,
    /// What no device has acknowledged in time.
    #[serde(borrow)]
    pub undelivered: Vec<UndeliveredNotice<'a>>,
}

/// A device has received a message, or its user has read it. That it was read is a claim of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptNotice<'a> {
    /// The uid that the message is for.
    #[serde(with = "serde_bytes")]
    pub uid: &'a [u8],
    /// The id of the message.
    pub id: &'a str,
    /// The name of the device, which is empty for the one that connections without a name share.
    pub device: &'a str,
    /// Whether the name stands in a signed token.
    pub is_signed: bool,
    /// Whether the user has read the message. Otherwise the device has received it.
    pub is_read: bool,
    /// When that was, in milliseconds since 1970.
    pub at: u64,
}

/// No device of a uid has acknowledged a message in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndeliveredNotice<'a> {
    /// The uid that the message is for.
    #[serde(with = "serde_bytes")]
    pub uid: &'a [u8],
    /// The id of the message.
    pub id: &'a str,
    /// When the message was stored, in milliseconds since 1970.
    pub stored: u64,
}
