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
mod polling;
pub(crate) mod query;
mod rate_limit;
pub(crate) mod reactor;
mod reader;
mod relayed;
mod resume;
mod ringing;
pub(crate) mod session;
mod settings;
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
pub use identity::Identity;
pub use index::{NameKind, NameWatch};
pub use membership::TooManyGroups;
pub use origin::{Contained, Origin};
pub use query::{
    ConnectionFilter, ConnectionInfo, Cursor, Delivery, Profile, ProfileFields, Scope, Selector,
};
pub use resume::ResumeSecrets;
pub use session::{MAX_SESSION, SessionError};
pub use settings::ShardSettings;

use smallvec::SmallVec;

/// A uid or a group name that is handed from one thread to another. Up to 24 bytes need no memory of their own.
pub type Name = SmallVec<[u8; 24]>;
