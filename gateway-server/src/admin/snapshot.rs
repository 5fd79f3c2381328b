//! How the whole server is at one moment.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Operations;
use super::answer::Refusal;
use super::process::{self, Process};
use crate::events::WorkerReport;
use crate::shard::ShardCounts;
use crate::telemetry::ConnectionCounter;

/// A listener that is watched.
pub struct Watched {
    pub name: String,
    pub tally: Arc<ConnectionCounter>,
}

pub(super) struct Snapshot {
    pub(super) started: SystemTime,
    uptime: Duration,
    pub(super) shards: Vec<ShardCounts>,
    /// Bytes that wait for clients.
    pub(super) waiting: usize,
    pub(super) uids: usize,
    pub(super) groups: usize,
    pub(super) php_connections: u64,
    pub(super) workers: Vec<WorkerReport>,
    pub(super) process: Process,
    /// How long it took until every shard had answered.
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

    /// A count of all shards together.
    pub(super) fn sum(&self, of: impl Fn(&ShardCounts) -> u64) -> u64 {
        self.shards.iter().map(of).sum()
    }

    /// How many clients came in by the listener of this number.
    pub(super) fn clients_of(&self, listener: usize) -> u64 {
        self.sum(|shard| shard.clients_by_door.get(listener).map_or(0, |clients| *clients as u64))
    }
}
