//! What a shard tells of its clients, and whom.

use std::net::SocketAddr;

use super::ListenerLimits;
use super::connection::Connection;

/// Told by one shard of all that its clients do, of each client in order.
///
/// The caller holds the shard's lock, so these methods must neither wait nor ask the [`Hub`](crate::hub::Hub).
pub trait EventSink: Send {
    /// A client is there; `handshake` is how it came, if [`EventSinks::wants_handshakes`].
    fn connected(&mut self, client: &Client<'_>, handshake: Option<Box<Handshake>>) -> Welcome;

    fn message(&mut self, client: &Client<'_>, message: &[u8]);

    /// Nothing more comes of it. Everybody who was there goes once, whether it was welcome or not.
    fn closed(&mut self, client: &Client<'_>);

    /// Whether more may be read of a client. When not, [`Hub::read_on`](crate::hub::Hub::read_on) says when to ask again.
    fn takes_more(&mut self, number: u32) -> bool;
}

/// Makes, for each shard, whoever is told of its clients.
pub trait EventSinks: Send + Sync {
    fn sink(&self) -> Box<dyn EventSink>;

    /// Whether anybody is to be told how clients come.
    fn wants_handshakes(&self) -> bool;
}

/// What becomes of a new client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Welcome {
    /// The shard tells it who it is.
    BuiltIn,
    /// Somebody else cares for it.
    Elsewhere,
    /// Nobody can serve it now.
    Refused,
}

/// Whom an event is about.
pub struct Client<'a> {
    pub number: u32,
    /// A serialized PHP array, or nothing.
    pub session: &'a [u8],
    /// The port of the listener where it came in.
    pub gateway_port: u16,
    connection: &'a Connection,
}

/// The opening handshake of a websocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// Path and query, as the client sent them.
    pub uri: Vec<u8>,
    /// `HTTP/1.1`, or `HTTP/1.0` of old proxies.
    pub protocol: &'static str,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Nobody listens; the shard itself says to each client who it is.
pub struct BuiltInSink;

impl EventSinks for BuiltInSink {
    fn sink(&self) -> Box<dyn EventSink> {
        Box::new(Self)
    }

    fn wants_handshakes(&self) -> bool {
        false
    }
}

impl EventSink for BuiltInSink {
    fn connected(&mut self, _: &Client<'_>, _: Option<Box<Handshake>>) -> Welcome {
        Welcome::BuiltIn
    }

    fn message(&mut self, _: &Client<'_>, _: &[u8]) {}

    fn closed(&mut self, _: &Client<'_>) {}

    fn takes_more(&mut self, _: u32) -> bool {
        true
    }
}

impl<'a> Client<'a> {
    pub(super) fn of(connection: &'a Connection, doors: &[ListenerLimits]) -> Self {
        let session = connection.extra().map_or(&[][..], |extra| extra.session.bytes());
        let gateway_port = doors[usize::from(connection.door)].port;
        Self { number: connection.number, session, gateway_port, connection }
    }

    /// Where it comes from, which may not be known any more once it has gone.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.connection.peer()
    }
}

impl Handshake {
    /// The bytes that it holds.
    pub fn weight(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| 48 + name.len() + value.len()).sum();
        size_of::<Self>() + self.uri.len() + headers
    }
}
