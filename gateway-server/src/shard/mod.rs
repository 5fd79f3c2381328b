//! Shards: plain threads that own the established connections.
//!
//! Each shard runs one poll loop over its own sockets and keeps its clients' uids, groups and outboxes in plain maps. All of a
//! shard's state stands behind one lock; [`handle::ShardHandle`] has the rule of who takes it when. Commands that cannot be
//! carried out at once wait in the shard's command queue, which is bounded in bytes. All other parts of the server reach the shards
//! through the [`Hub`](crate::hub::Hub).
//!
//! A turn is one pass of the poll loop: the shard reads, takes commands, looks at its deadlines, and then writes to each client
//! once.

pub(crate) mod arrival;
pub(crate) mod audience;
mod backlog;
pub(crate) mod carry;
pub(crate) mod change;
pub(crate) mod claim;
pub(crate) mod client_proof;
pub(crate) mod clients;
mod coalesce;
mod cold;
pub(crate) mod command;
pub(crate) mod command_queue;
mod connection;
pub(crate) mod connection_id;
pub(crate) mod counts;
pub(crate) mod detached_client;
mod drain;
mod due;
pub(crate) mod event_sink;
mod execute;
mod fault;
pub(crate) mod handle;
mod heartbeat;
mod held_back;
mod hold_back;
pub(crate) mod identity;
pub(crate) mod index;
mod issue_times;
mod lifecycle;
mod liveness;
pub(crate) mod membership;
#[cfg(test)]
#[cfg(feature = "models")]
mod models;
mod origin;
mod outbox;
mod packed_bytes;
mod packed_chunks;
mod panics;
mod partial;
pub(crate) mod query;
mod rate_limit;
pub(crate) mod reactor;
mod reader;
mod relayed;
mod resume;
mod ringing;
pub(crate) mod session;
mod slices;
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

pub use carry::MalformedBatch;
pub use client_proof::ClientProofs;
pub use command::{NewConnection, SlotOf};
pub use command_queue::Stopped;
pub use connection_id::MalformedIds;
pub use counts::{Counts, ResumeCounts, ShardCounts};
pub use detached_client::{DetachedClient, Names, Resumable};
pub use event_sink::{BuiltInSink, Client, EventSink, EventSinks, Handshake, Welcome};
pub use heartbeat::Heartbeat;
pub use identity::Identity;
pub use index::{NameKind, NameWatch};
pub use membership::TooManyGroups;
pub use origin::{Contained, Origin};
pub use query::{
    ConnectionFilter, ConnectionInfo, Cursor, Delivery, Profile, ProfileFields, Scope, Selector,
};
pub use rate_limit::RateLimit;
pub use resume::{ResumeLimits, ResumeSecrets};
pub use session::{MAX_SESSION, SessionError};

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::protocol::websocket::MessageKind;

/// A uid or a group name that is handed from one thread to another. Up to 24 bytes need no memory of their own.
pub type Name = SmallVec<[u8; 24]>;

/// The limits that a listener sets for the clients that came in by it.
#[derive(Clone, Debug)]
pub struct ListenerLimits {
    /// The port of the listener, which events report as the gateway port.
    pub port: u16,
    /// The longest message that a client may send, in bytes, 125 at least. A compressed message counts with what it is inflated
    /// to.
    pub max_message: usize,
    /// What may wait for one client before it is sent another message, in bytes of memory: the frames and what it costs to keep
    /// each, 1024 at least. A client for which more waits is closed when the next message comes for it.
    pub outbox_bytes: usize,
    /// How long a message may wait so that those which follow go out with it in one write. Zero sends at once.
    pub coalesce: std::time::Duration,
    /// When silent clients are pinged, and when they are closed.
    pub heartbeat: Heartbeat,
    /// How many messages and bytes a second each client may send.
    pub rate: RateLimit,
    /// How long clients may stay away, and what is kept for them.
    pub resume: ResumeLimits,
}

/// The settings that all shards share.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// The node part of every client_id: the address of this node in the cluster.
    pub node: std::net::SocketAddrV4,
    /// Makes the proofs that clients get in their init messages.
    pub proofs: ClientProofs,
    /// Makes the secrets by which clients come back.
    pub secrets: ResumeSecrets,
    /// Whether messages from PHP go to websocket clients as text or as binary messages.
    pub message_kind: MessageKind,
    /// The listeners by which clients come in, at most 256, as a connection keeps the index of its listener in a byte.
    pub listeners: Arc<[ListenerLimits]>,
    /// How long a client may take to answer a close frame, 10 ms at least. A client that still takes of what waits for it gets as
    /// much time again.
    pub close_timeout: Duration,
    /// How long a client may take nothing at all of what waits for it before it is closed. Zero is no limit.
    pub outbox_timeout: Duration,
    /// The bounds of what shards keep for their clients.
    pub bounds: ShardBounds,
    /// Whether shards send through io_uring where the kernel permits it.
    pub io_uring: bool,
}

/// The bounds of what shards keep for their clients.
#[derive(Clone, Copy, Debug)]
pub struct ShardBounds {
    /// The number of groups that one client may be in. Settings say 0 for no limit, which is `usize::MAX` here.
    pub groups: usize,
    /// The longest session of a client, serialized, in bytes.
    pub session: usize,
    /// The memory of messages that have arrived in part, of all clients of one shard, in bytes. When they take more, the clients
    /// that hold most are closed.
    pub partial: usize,
    /// The memory of what one shard keeps for clients that may come back, in bytes.
    pub kept: usize,
    /// The memory of what waits in all outboxes of all shards together, in bytes; the longest message has room besides. When they
    /// take more, the clients that hold most and take least are closed.
    pub waiting: usize,
}
