//! What goes to connections.

use bytes::Bytes;

/// Brings to connections what they are sent. The thread of the store calls it, and may wait.
pub trait Post: Send {
    /// Sends these in their order.
    fn send(&mut self, sendings: Vec<Sending>);

    /// Gives those of the connections whose sockets have taken all that they were sent.
    fn taken(&mut self, connections: Vec<u32>) -> Vec<u32>;
}

/// Something that some connections of a uid get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// The uid to which a connection must still be bound to get it.
    pub uid: Bytes,
    pub connections: Vec<u32>,
    /// Whether the connections are of pages, which understand headers.
    pub is_for_pages: bool,
    pub content: Content,
}

/// What connections are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Message {
        /// Whether no connection of the device was sent the message before.
        is_new: bool,
        epoch: u64,
        seq: u64,
        id: Box<str>,
        payload: Bytes,
        is_binary: bool,
    },
    /// So many messages were dropped before the device had them.
    Lost { epoch: u64, count: u64 },
}
