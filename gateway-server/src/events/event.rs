//! What a client did, on its way to a worker.

use std::net::SocketAddr;

use bytes::Bytes;
use gateway_wire::ClientId;

use crate::shard::Handshake;

/// One thing that a client did, with what a worker is told of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    /// The number of the client's connection on this server.
    pub connection_id: u32,
    pub peer: SocketAddr,
    /// The port of the listener where the client came in.
    pub gateway_port: u16,
    /// The client's session when the event came: a serialized PHP array, or nothing.
    pub session: Bytes,
}

/// What the client did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    Connect,
    /// The client has come from another node of the cluster, where it had this client_id. It stands in place of the connect.
    Moved(ClientId),
    /// How the client came. It follows the connect of the same client; events of other clients may stand in between.
    Handshake(Box<Handshake>),
    Message(Bytes),
    Close,
}

impl Event {
    /// Whether this is the first event of its client.
    pub fn is_first(&self) -> bool {
        matches!(self.kind, EventKind::Connect | EventKind::Moved(_))
    }

    /// The bytes of memory that the event holds while it waits.
    pub(super) fn weight(&self) -> usize {
        let body = match &self.kind {
            EventKind::Handshake(handshake) => handshake.weight(),
            EventKind::Message(message) => message.len(),
            EventKind::Connect | EventKind::Moved(_) | EventKind::Close => 0,
        };
        size_of::<Self>() + self.session.len() + body
    }
}

#[cfg(test)]
impl Event {
    /// An event without a session, of a client at 192.0.2.1.
    pub fn example(connection_id: u32, kind: EventKind) -> Self {
        let peer = SocketAddr::from(([192, 0, 2, 1], 1));
        Self { kind, connection_id, peer, gateway_port: 8282, session: Bytes::new() }
    }
}
