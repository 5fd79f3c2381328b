//! What the shards go by: the settings of the server, and beside them what is made for the shards.

use std::net::SocketAddrV4;
use std::sync::Arc;

use super::{ClientProofs, ResumeSecrets};
use crate::config::{Listener, Settings};

/// The settings of all shards. A setting that concerns established clients is read here, where it is needed.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// The settings of the server.
    pub(crate) server: Arc<Settings>,
    /// The listeners of these settings, by which clients come in. What a shard looks up for each client and each message is one step
    /// from here: the index of the client's listener, and then the setting.
    pub(super) listeners: Arc<[Listener]>,
    /// The ports to which the listeners are bound, in the same order. Events report them as the gateway port.
    pub(super) ports: Arc<[u16]>,
    /// The node part of every client_id: the address of this node in the cluster.
    pub(crate) node: SocketAddrV4,
    /// Makes the proofs that clients get in their init messages.
    pub(crate) proofs: ClientProofs,
    /// Makes the secrets by which clients come back.
    pub(super) secrets: ResumeSecrets,
    /// The memory of messages that have arrived in part, of all clients of one shard, in bytes. When they take more, the clients
    /// that hold most are closed.
    pub(super) partial_bytes: usize,
    /// The memory of what one shard keeps for clients that may come back, in bytes.
    pub(super) kept_bytes: usize,
}

impl ShardSettings {
    /// Makes the settings of so many shards, for listeners that are bound to these ports.
    pub fn new(
        server: &Arc<Settings>,
        shards: usize,
        ports: Arc<[u16]>,
        node: SocketAddrV4,
        proofs: ClientProofs,
        secrets: ResumeSecrets,
    ) -> Self {
        let longest = server.listeners.iter().map(|listener| listener.max_message).max().unwrap_or(0);
        Self {
            server: Arc::clone(server),
            listeners: server.listeners.as_slice().into(),
            ports,
            node,
            proofs,
            secrets,
            // The bound is at least four of the longest messages, so that a single client may always send what its own limits
            // allow.
            partial_bytes: (server.max_unfinished_bytes / shards).max(4 * longest),
            kept_bytes: server.resume_total_bytes / shards,
        }
    }
}
