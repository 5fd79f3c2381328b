//! The client side of the NATS protocol, as far as a node needs it.
//!
//! This is no client library, as those keep a queue for each subscription, which takes several kilobytes for each uid that is
//! online. Here a subscription takes no memory in this process, and all messages come in the order in which the server sent them.

mod connect;
mod credentials;
mod protocol;

pub(super) use connect::{Connection, Options, connect};
pub use protocol::{Info, Malformed, Op, decode};
