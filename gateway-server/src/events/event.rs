//! What a client did, on its way to a worker.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::shard::Handshake;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub kind: Kind,
    /// The number of the connection.
    pub number: u32,
    pub peer: SocketAddr,
    /// The port of the listener where the client came in.
    pub gateway_port: u16,
    /// A serialized PHP array, or nothing.
    pub session: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Connect,
    /// Follows the connect of the same client, perhaps with those of others in between.
    Handshake(Box<Handshake>),
    Message(Bytes),
    Close,
}

impl Event {
    /// The bytes that it holds while it waits.
    pub(super) fn weight(&self) -> usize {
        let body = match &self.kind {
            Kind::Handshake(handshake) => handshake.weight(),
            Kind::Message(message) => message.len(),
            Kind::Connect | Kind::Close => 0,
        };
        size_of::<Self>() + self.session.len() + body
    }
}

#[cfg(test)]
impl Event {
    /// An event without a session, of a client at 192.0.2.1.
    pub fn example(number: u32, kind: Kind) -> Self {
        let peer = SocketAddr::from(([192, 0, 2, 1], 1));
        Self { kind, number, peer, gateway_port: 8282, session: Bytes::new() }
    }
}
