//! The interface through which a shard reports what its clients do.

use std::net::SocketAddr;

use bytes::Bytes;
use gateway_wire::ClientId;
use gateway_wire::client_protocol::AskId;

use super::connection::Connection;

/// Receives the events of all clients of one shard; the events of each client come in order.
///
/// The caller holds the shard's lock, so these methods must neither wait nor ask the [`Hub`](crate::hub::Hub).
pub trait EventSink: Send {
    /// Reports a new client. `handshake` is its opening handshake, if [`EventSinks::wants_handshakes`].
    fn connected(&mut self, client: &Client<'_>, handshake: Option<Box<Handshake>>) -> Welcome;

    /// Reports a client that has come here from another node of the cluster, where its client_id was `old`. This is called instead of
    /// [`EventSink::connected`], before anything else of the client.
    fn moved(&mut self, client: &Client<'_>, old: ClientId) -> Welcome;

    /// Reports a message of the client.
    fn message(&mut self, client: &Client<'_>, message: &[u8]);

    /// Reports what a client has answered to a question.
    fn answered(&mut self, client: &Client<'_>, id: AskId, answer: &str) {
        let _ = (client, id, answer);
    }

    /// Reports that a client has gone. This is called once for each client that was reported as connected or moved, whatever that
    /// call returned. While the shard stops, it is also called for new clients that are closed without being reported.
    fn closed(&mut self, client: &Client<'_>);

    /// Reports that a client has gone on at another node, whose workers hear of it from now on. It is called instead of
    /// [`EventSink::closed`].
    fn moved_away(&mut self, client: &Client<'_>);

    /// Whether the shard may read more messages of this client. After false, the shard asks again when
    /// [`Hub::read_on`](crate::hub::Hub::read_on) is called.
    fn takes_more(&mut self, connection_id: u32) -> bool;

    /// Gives what the sink knows of a client, for a process that takes the client over with its connection; `None` if it knows
    /// nothing.
    fn export(&self, connection_id: u32) -> Option<Bytes> {
        let _ = connection_id;
        None
    }

    /// Takes over a client of another process, whose sink has given these bytes by [`EventSink::export`]. It is called instead of
    /// [`EventSink::connected`], and only where there were any bytes.
    fn restore(&mut self, client: &Client<'_>, exported: &[u8]) {
        let _ = (client, exported);
    }
}

/// Makes the [`EventSink`] of each shard.
pub trait EventSinks: Send + Sync {
    /// Makes the sink of one shard.
    fn sink(&self) -> Box<dyn EventSink>;

    /// Whether the opening handshakes of clients are needed, which else are dropped to save memory.
    fn wants_handshakes(&self) -> bool;

    /// Whether clients may move to this node of a cluster and away from it: whoever hears of them here understands that a
    /// client_id changes.
    fn takes_moves(&self) -> bool;
}

/// What an [`EventSink`] decides about a new client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Welcome {
    /// The shard sends the client its init message with its client_id.
    BuiltIn,
    /// The client belongs to a worker, which greets it if it wants to.
    Elsewhere,
    /// No worker can serve the client now; it is closed.
    Refused,
}

/// The client that an event is about.
pub struct Client<'a> {
    /// The connection id: the random part of the client_id.
    pub connection_id: u32,
    /// The session: a serialized PHP array, or empty.
    pub session: &'a [u8],
    /// The port of the listener that accepted the client.
    pub gateway_port: u16,
    connection: &'a Connection,
}

/// The opening handshake of a websocket client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The path and query of the request, as the client sent them.
    pub uri: Vec<u8>,
    /// The version of the request: `HTTP/1.1`, or `HTTP/1.0` from old proxies.
    pub protocol: &'static str,
    /// The headers of the request in their order, with names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// The sink of a server without workers: it ignores all events, and the shard itself tells each client its client_id.
pub struct BuiltInSink;

impl EventSinks for BuiltInSink {
    fn sink(&self) -> Box<dyn EventSink> {
        Box::new(Self)
    }

    fn wants_handshakes(&self) -> bool {
        false
    }

    fn takes_moves(&self) -> bool {
        true
    }
}

impl EventSink for BuiltInSink {
    fn connected(&mut self, _: &Client<'_>, _: Option<Box<Handshake>>) -> Welcome {
        Welcome::BuiltIn
    }

    fn moved(&mut self, _: &Client<'_>, _: ClientId) -> Welcome {
        Welcome::BuiltIn
    }

    fn message(&mut self, _: &Client<'_>, _: &[u8]) {}

    fn closed(&mut self, _: &Client<'_>) {}

    fn moved_away(&mut self, _: &Client<'_>) {}

    fn takes_more(&mut self, _: u32) -> bool {
        true
    }
}

impl<'a> Client<'a> {
    pub(super) fn of(connection: &'a Connection, ports: &[u16]) -> Self {
        let session = connection.extra().map_or(&[][..], |extra| extra.session.bytes());
        let gateway_port = ports[usize::from(connection.listener)];
        Self { connection_id: connection.connection_id, session, gateway_port, connection }
    }

    /// The client's address, which may not be known any more once the client has gone.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.connection.peer()
    }
}

impl Handshake {
    /// The memory that the handshake takes, in bytes.
    pub fn weight(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| 48 + name.len() + value.len()).sum();
        size_of::<Self>() + self.uri.len() + headers
    }
}
