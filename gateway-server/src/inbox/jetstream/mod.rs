//! The store of a cluster: one stream of NATS JetStream, which all nodes share.
//!
//! The stream has the messages of all uids, each uid under subjects of its own, made of keyed hashes. A message's position is its
//! sequence number in the stream. A uid's record says how far its devices have come, and is written by compare and set, so that nodes
//! do not undo what others have written. Everything that is read comes from the stream's leader, as its followers may be behind.
//!
//! What was stored, and which uids were forgotten, each node hears from the stream in its order, also what it has stored itself.
//! Otherwise a page could get a message before an older one of another node, and acknowledge both.

mod api;
mod chain;
mod connect;
mod deliver;
mod devices;
mod figures;
mod jetstream_store;
mod kept_notice;
mod late_store;
mod lease;
mod marks;
mod message;
mod names;
mod news;
mod news_buffer;
mod notices;
mod reads;
mod record;
mod shared;
mod stream;
#[cfg(test)]
mod tests;

pub use connect::JetStreamSettings;
pub use jetstream_store::{JetStreamStore, OpenError};
pub use late_store::LateStore;
pub use news_buffer::Waker;
