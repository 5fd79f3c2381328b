//! Shards: plain threads that own the established connections.
//!
//! Each runs one poll loop over its own sockets and keeps its own uids, groups and outboxes in plain maps, which stand together behind
//! one lock. The shard's thread has the lock while it works, and lets it go while it sleeps in `poll`: then any other thread may take it
//! and carry out an order or a query itself. Otherwise commands wait in the shard's inbox, which is bounded in bytes. Everybody reaches
//! the shards through the [`Hub`].

pub(crate) mod audience;
mod backlog;
pub(crate) mod change;
pub(crate) mod claim;
pub(crate) mod client_proof;
pub(crate) mod clients;
mod coalesce;
mod cold;
pub(crate) mod command;
mod connection;
pub(crate) mod connection_id;
pub(crate) mod counts;
mod drain;
pub(crate) mod event_sink;
mod execute;
mod fault;
pub(crate) mod handle;
mod heartbeat;
pub(crate) mod identity;
pub(crate) mod inbox;
pub(crate) mod index;
mod lifecycle;
mod liveness;
pub(crate) mod membership;
#[cfg(test)]
#[cfg(feature = "models")]
mod models;
mod outbox;
mod panics;
mod partial;
pub(crate) mod query;
mod rate_limit;
pub(crate) mod reactor;
mod reader;
pub(crate) mod session;
pub(crate) mod slow_clients;
mod state;
mod sync;
#[cfg(test)]
pub(crate) mod testing;
mod throughput;
mod timekeeping;
mod tls;
pub(crate) mod total_backlog;
pub mod uring;
mod write_batch;
mod writer;

pub use client_proof::ClientProofs;
pub use command::{NewConnection, PlaceOf};
pub use counts::{Counts, ShardCounts};
pub use event_sink::{BuiltInSink, Client, EventSink, EventSinks, Handshake, Welcome};
pub use heartbeat::Heartbeat;
pub use identity::Identity;
pub use inbox::Stopped;
pub use index::{NameKind, NameWatch};
pub use membership::TooManyGroups;
pub use query::{ConnectionFilter, ConnectionInfo, Cursor, Profile, ProfileFields, Scope, Selector};
pub use rate_limit::RateLimit;
pub use session::{MAX_SESSION, SessionError};

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::protocol::websocket::MessageKind;

/// A uid or group on its way; a short one needs no memory of its own.
pub type Name = SmallVec<[u8; 24]>;

/// A listener, as far as those who came in by it are concerned.
#[derive(Clone, Debug)]
pub struct ListenerLimits {
    pub port: u16,
    /// Longest message that a client may send.
    pub max_message: usize,
    /// What may wait for one client before the next message: bytes of frames, and what it costs to keep each.
    pub outbox_bytes: usize,
    pub heartbeat: Heartbeat,
    /// What each client may send.
    pub rate: RateLimit,
}

/// What every shard needs to know.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// The node part of every client_id.
    pub node: std::net::SocketAddrV4,
    pub proofs: ClientProofs,
    /// Whether messages from PHP go out to websockets as text or as binary.
    pub message_kind: MessageKind,
    /// Where clients come in, 256 at most.
    pub doors: Arc<[ListenerLimits]>,
    /// How long a client may take to answer a close frame.
    pub close_timeout: Duration,
    /// How long a client may take nothing of what waits for it; zero is no bound.
    pub outbox_timeout: Duration,
    pub bounds: ShardBounds,
    /// Whether to send by it, where the kernel permits it.
    pub io_uring: bool,
}

/// How much is kept about clients.
#[derive(Clone, Copy, Debug)]
pub struct ShardBounds {
    /// Groups that one may be in.
    pub groups: usize,
    /// Bytes of one's session.
    pub session: usize,
    /// Bytes of messages that are not whole, of all clients of a shard.
    pub unfinished: usize,
    /// Bytes of memory for what waits for all clients of all shards.
    pub waiting: usize,
}
