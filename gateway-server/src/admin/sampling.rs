//! Takes the samples of the history, and answers `GET /history`.

use std::sync::Arc;
use std::time::Instant;

use hyper::StatusCode;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::Operations;
use super::answer::{Answer, json};
use super::history::{EVERY, NAMES, Sample};
use super::snapshot::Snapshot;
use crate::lifecycle::watchdog;

/// Takes samples until the task is dropped.
pub async fn keep_history(operations: Arc<Operations>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A server whose shards do not answer has a gap in its history.
        if let Ok(snapshot) = Snapshot::take(&operations).await {
            operations.history.push(sample(&snapshot));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers beyond 2^53 need no precision in a drawing")]
fn sample(snapshot: &Snapshot) -> Sample {
    let gaps: u64 = snapshot.resume().gaps().map(|(_, total)| total).sum();
    let counts = [
        snapshot.sum(|shard| shard.clients as u64),
        snapshot.sum(|shard| shard.parked as u64),
        snapshot.resume().resumed,
        gaps,
        snapshot.sum(|shard| shard.kept as u64),
        snapshot.sum(|shard| shard.counts.messages_in),
        snapshot.sum(|shard| shard.counts.messages_out),
        snapshot.sum(|shard| shard.counts.bytes_in),
        snapshot.sum(|shard| shard.counts.bytes_out),
        snapshot.sum(|shard| shard.slow as u64),
        snapshot.waiting as u64,
        snapshot.php_connections,
        snapshot.process.memory,
    ];
    let mut numbers = [snapshot.answered_within.as_secs_f64(); NAMES.len()];
    for (number, count) in numbers.iter_mut().zip(counts) {
        *number = count as f64;
    }
    Sample { at: Instant::now(), numbers, answers: watchdog::ANSWERS.counts() }
}

/// The answer to `GET /history`.
pub(super) fn answer(operations: &Operations) -> Answer {
    let names: Vec<_> = ["seconds_ago"].into_iter().chain(NAMES).collect();
    let history =
        json!({"every_seconds": EVERY.as_secs(), "names": names, "rows": operations.history.rows()});
    json(StatusCode::OK, &history)
}
