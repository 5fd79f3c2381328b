//! What the cluster asks of a broker, the service that carries frames between nodes. NATS is the only one that is implemented.
//!
//! A broker has to deliver the frames that one node publishes on one connection in their order, at most once, to all nodes that have
//! subscribed to the subject by then. It may lose frames, as when a connection breaks: the nodes number what they send, and request
//! again what they miss (`resend.rs`). A broker also has to answer pings in order, and only after it has taken everything that was
//! sent before the ping; this tells a node when its subscriptions are in effect.

use std::error::Error;
use std::fmt;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

/// A broker, as a client of it sees it. All functions but `connect` only translate between meaning and bytes.
pub(super) trait Broker {
    /// The address of one of the broker's servers.
    type Address: fmt::Display;
    /// The options that are the same for all addresses.
    type Options;
    /// Why there is no connection.
    type ConnectError: Error;
    /// Why bytes of a server are not understood.
    type Malformed: Error;

    /// Connects to a server and logs in.
    async fn connect(
        address: &Self::Address,
        options: &Self::Options,
    ) -> Result<Connection, Self::ConnectError>;

    /// Takes the next complete message of the server off `input`. Gives `None` while none is complete. A payload of more than
    /// `max_payload` bytes is an error.
    fn decode(input: &mut BytesMut, max_payload: usize) -> Result<Option<Incoming>, Self::Malformed>;

    /// Appends the command that publishes a payload of `length` bytes. Both closures append to the command: the subject, and the
    /// payload.
    fn publish(
        out: &mut Vec<u8>,
        subject: impl FnOnce(&mut Vec<u8>),
        length: usize,
        payload: impl FnOnce(&mut Vec<u8>),
    );

    /// Appends the command that subscribes to a subject under an id of this node's choice.
    fn subscribe(out: &mut Vec<u8>, subject: impl FnOnce(&mut Vec<u8>), id: impl FnOnce(&mut Vec<u8>));

    /// Appends the command that ends the subscription with this id.
    fn unsubscribe(out: &mut Vec<u8>, id: impl FnOnce(&mut Vec<u8>));

    /// Appends a ping, which the server answers.
    fn ping(out: &mut Vec<u8>);

    /// Appends the answer to a ping of the server.
    fn pong(out: &mut Vec<u8>);
}

/// A connection whose login is done.
pub(super) struct Connection {
    pub(super) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(super) writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// The bytes behind the login that have been read already.
    pub(super) input: BytesMut,
    pub(super) server: ServerInfo,
}

/// A server's description of itself.
pub(super) struct ServerInfo {
    /// The id of the server, which is another for each server of the broker.
    pub(super) id: String,
    pub(super) version: String,
    /// Whether the server also keeps what is published, as JetStream does.
    pub(super) has_streams: bool,
    /// Bytes of the longest payload that the server takes.
    pub(super) max_payload: usize,
    /// True when the server will end, so that clients should go to others.
    pub(super) is_leaving: bool,
}

/// A message of the server.
pub(super) enum Incoming {
    /// The payload of a published frame.
    Frame(Bytes),
    /// The server asks whether this node is alive.
    Ping,
    /// The answer to the oldest ping that has none yet.
    Pong,
    /// The server reports an error, in its own words.
    Error(String),
    /// The server describes itself anew.
    Info(ServerInfo),
    /// The message asks for nothing.
    Nothing,
}
