//! The events by which a session tells the engine how calls ended.

use std::net::SocketAddrV4;

use gateway_wire::bridge::AnswerValue;

/// An event of a session.
#[derive(Debug)]
pub(crate) enum SessionEvent {
    /// All calls up to this number are done.
    Done(u64),
    Answer {
        seq: u64,
        /// The error is in words.
        answer: Result<AnswerValue, String>,
    },
    /// An order that GatewayWorker's protocol cannot carry; the reason is in words.
    Refused(String),
    /// Orders that a gateway did not get, or perhaps did not.
    Lost {
        calls: u64,
        gateway: SocketAddrV4,
        /// The reason of the last of them, in words.
        why: String,
    },
    /// An answer lacks what some gateways know; they stand here with their reasons.
    Partial(String),
}
