//! The answer to `GET /status`, which `gateway-server status` shows.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, Refusal, json};
use super::snapshot::Snapshot;
use super::text::text_of;
use super::{Operations, cluster, inbox, relays};
use crate::telemetry::abuse_log;

pub(super) async fn answer(operations: &Operations) -> Result<Answer, Refusal> {
    let snapshot = Snapshot::take(operations).await?;
    let listeners = operations.listeners.iter().enumerate().map(|(index, listener)| {
        json!({
            "listener": listener.name,
            "clients": snapshot.clients_of(index),
            "handshakes": listener.counter.present(),
            "accepted": listener.counter.came(),
        })
    });
    let workers = snapshot.workers.iter().map(|worker| {
        json!({
            "name": text_of(worker.name.as_bytes()),
            "clients": worker.clients,
            "backlog_events": worker.events,
            "backlog_bytes": worker.bytes,
        })
    });
    let offences = abuse_log::totals().into_iter().filter(|(_, total)| *total > 0);
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "state": if operations.is_stopping() { "stopping" } else { "running" },
        "uptime_seconds": snapshot.uptime() as u64,
        "clients": snapshot.sum(|shard| shard.clients as u64),
        "clients_since_start": snapshot.sum(|shard| shard.counts.came),
        "parked_clients": snapshot.sum(|shard| shard.parked as u64),
        "resumed": snapshot.resume().resumed,
        "gaps": snapshot.resume().gaps().filter(|(_, total)| *total > 0)
            .map(|(reason, total)| (reason.word().to_owned(), total.into())).collect::<serde_json::Map<String, Value>>(),
        "resume_bytes": snapshot.sum(|shard| shard.kept as u64),
        "uids": snapshot.uids,
        "groups": snapshot.groups,
        "php_connections": snapshot.php_connections,
        "messages_received": snapshot.sum(|shard| shard.counts.messages_in),
        "messages_sent": snapshot.sum(|shard| shard.counts.messages_out),
        "received_bytes": snapshot.sum(|shard| shard.counts.bytes_in),
        "sent_bytes": snapshot.sum(|shard| shard.counts.bytes_out),
        "slow_clients": snapshot.sum(|shard| shard.slow as u64),
        "outbox_bytes": snapshot.waiting,
        "unfinished_bytes": snapshot.sum(|shard| shard.partial as u64),
        "shards_answered_in_seconds": snapshot.answered_within.as_secs_f64(),
        "shard_answers": operations.history.answers(),
        "memory_bytes": snapshot.process.memory,
        "open_files": snapshot.process.open_files,
        "max_open_files": snapshot.process.max_open_files,
        "listeners": listeners.collect::<Vec<_>>(),
        "shards": snapshot.shards.iter().map(|shard| shard.clients).collect::<Vec<_>>(),
        "workers": workers.collect::<Vec<_>>(),
        "inbox": inbox::status(&operations.backend.gateway),
        "relays": relays::status(&operations.relays),
        "cluster": cluster::status(&operations.backend.gateway, snapshot.sum(|shard| shard.clients as u64)),
        "offences": offences.map(|(kind, total)| (kind.to_owned(), total.into())).collect::<serde_json::Map<String, Value>>(),
    });
    Ok(json(StatusCode::OK, &status))
}
