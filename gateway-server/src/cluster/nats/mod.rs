//! What a node speaks with a NATS server.
//!
//! No client library: those keep a queue for each subscription, which takes several kilobytes for each uid that is online.
//! Here a subscription takes nothing in this process, and everything comes in the order in which the server sent it.

mod connect;
mod credentials;
mod protocol;

pub(super) use connect::{Connection, Options, connect};
pub use protocol::{Info, Malformed, Op, decode};
