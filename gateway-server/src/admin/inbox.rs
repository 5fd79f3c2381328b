//! What operators see of the store of messages for users who are not there.

use serde_json::{Value, json};

use super::exposition::Exposition;
use crate::inbox::writer::WriterHandle;
use crate::service::Gateway;

/// Gives the part of `GET /status`: null without a store.
pub(super) fn status(gateway: &Gateway) -> Value {
    gateway.inbox().map_or(Value::Null, |inbox| {
        let counts = inbox.counts();
        json!({
            "problem": inbox.health().problem(),
            "messages": counts.totals.messages,
            "bytes": counts.totals.bytes,
            "uids": counts.totals.uids,
            "stored": counts.stored,
            "refused": counts.refused,
            "dropped": counts.dropped,
        })
    })
}

/// Writes the metrics of the store.
pub(super) fn metrics(out: &mut Exposition, inbox: &WriterHandle) {
    let counts = inbox.counts();
    out.gauge("gateway_inbox_working", "Whether the store takes messages for users who are not there.")
        .is(u64::from(inbox.health().problem().is_none()));
    out.gauge("gateway_inbox_messages", "Messages that wait for devices.").is(counts.totals.messages);
    out.gauge("gateway_inbox_bytes", "What these messages hold.").is(counts.totals.bytes);
    out.gauge("gateway_inbox_uids", "Uids of which the store knows.").is(counts.totals.uids);
    out.gauge("gateway_inbox_queue_bytes", "What waits for the disk.").is(inbox.queue_bytes() as u64);
    out.counter("gateway_inbox_stored_total", "Messages that were kept.").is(counts.stored);
    out.counter("gateway_inbox_refused_total", "Messages and other changes that were refused.")
        .is(counts.refused);
    out.counter("gateway_inbox_dropped_total", "Messages that made room for others of their uid.")
        .is(counts.dropped);
    out.counter("gateway_inbox_acknowledged_total", "Acknowledgements of devices.").is(counts.acknowledged);
    out.counter("gateway_inbox_commits_total", "Writes to the disk.").is(counts.commits);
    out.counter("gateway_inbox_commit_seconds_total", "How long these have taken.")
        .is(counts.commit_time.as_secs_f64());
}
