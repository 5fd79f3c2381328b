//! A snapshot of the whole server at one moment.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Operations;
use super::answer::Refusal;
use super::process::{self, Process};
use crate::events::WorkerReport;
use crate::shard::{ResumeCounts, ShardCounts};
use crate::telemetry::ConnectionCounter;

/// A listener's name and counter, for the operations port.
pub struct Watched {
    /// The listener's protocol and address, as in `websocket://0.0.0.0:8282`.
    pub name: String,
    /// Counts the connections that came, and those whose handshake is under way.
    pub counter: Arc<ConnectionCounter>,
}

/// The state of the whole server at one moment.
pub(super) struct Snapshot {
    pub(super) started: SystemTime,
    uptime: Duration,
    pub(super) shards: Vec<ShardCounts>,
    /// Bytes that wait for slow clients.
    pub(super) waiting: usize,
    /// Number of uids that clients are bound to.
    pub(super) uids: usize,
    /// Number of groups that clients are in.
    pub(super) groups: usize,
    /// Number of PHP connections on the register ports.
    pub(super) php_connections: u64,
    pub(super) workers: Vec<WorkerReport>,
    pub(super) process: Process,
    /// Time until every shard had answered.
    pub(super) answered_within: Duration,
}

impl Snapshot {
    pub(super) async fn take(operations: &Operations) -> Result<Self, Refusal> {
        operations.all_shards_answer().await?;
        let asked = Instant::now();
        let shards = operations.hub.census().await?;
        let answered_within = asked.elapsed();
        let (uids, groups) = operations.hub.name_counts();
        Ok(Self {
            started: operations.started,
            uptime: operations.running_since.elapsed(),
            shards,
            waiting: operations.hub.waiting_bytes(),
            uids,
            groups,
            php_connections: operations.php.present(),
            workers: operations.backend.workers.report(),
            process: process::look().await,
            answered_within,
        })
    }

    pub(super) fn uptime(&self) -> f64 {
        self.uptime.as_secs_f64()
    }

    /// Adds up a count over all shards.
    pub(super) fn sum(&self, of: impl Fn(&ShardCounts) -> u64) -> u64 {
        self.shards.iter().map(of).sum()
    }

    /// Adds up the counts of clients that come back over all shards.
    pub(super) fn resume(&self) -> ResumeCounts {
        let mut all = ResumeCounts::default();
        self.shards.iter().for_each(|shard| all.add(&shard.resume));
        all
    }

    /// Number of clients that are connected to the listener with this number.
    pub(super) fn clients_of(&self, listener: usize) -> u64 {
        self.sum(|shard| shard.clients_by_door.get(listener).map_or(0, |clients| *clients as u64))
    }
}
