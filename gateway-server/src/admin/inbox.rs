//! What operators see of the store of messages for users who are not there.

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::Operations;
use super::answer::{Answer, Refusal, json};
use super::exposition::Exposition;
use super::query::Parameters;
use super::text::text_of;
use crate::inbox::writer::WriterHandle;
use crate::service::Gateway;

/// Number of uids on a page by default, and the largest number that may be asked for.
const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// Answers `GET /inbox`: the uids for which messages wait, page by page.
pub(super) async fn answer(operations: &Operations, query: Option<&str>) -> Result<Answer, Refusal> {
    let mut parameters = Parameters::parse(query)?;
    let limit = parameters.take_as("limit", "a number")?.unwrap_or(LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Refusal::invalid(format!("limit must be within 1 to {MAX_LIMIT}")));
    }
    let after = Bytes::from(parameters.take("after").unwrap_or_default());
    parameters.none_left()?;
    let unavailable = |message: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "store", message);
    let inbox = operations.backend.gateway.inbox().ok_or_else(|| {
        unavailable("this server keeps no messages for users who are not there (store)".to_owned())
    })?;
    let uids = inbox.uids(after, limit).await.map_err(|error| unavailable(error.to_string()))?;
    let next = uids.last().filter(|_| uids.len() == limit).map(|last| text_of(&last.uid));
    let shown = uids
        .iter()
        .map(|one| json!({"uid": text_of(&one.uid), "messages": one.messages, "bytes": one.bytes}));
    Ok(json(StatusCode::OK, &json!({"uids": shown.collect::<Vec<_>>(), "next": next})))
}

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
            "notices": counts.totals.notices,
            "lost_notices": counts.totals.lost_notices,
            "webhook_failures": counts.webhook_failures,
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
    out.gauge("gateway_inbox_notices", "What PHP is yet to be told of messages.").is(counts.totals.notices);
    out.counter(
        "gateway_inbox_lost_notices_total",
        "Notices that were given up, as nobody took them for long.",
    )
    .is(counts.totals.lost_notices);
    out.counter("gateway_inbox_webhook_requests_total", "Requests that the webhook has taken.")
        .is(counts.webhook_told);
    out.counter("gateway_inbox_webhook_failures_total", "Requests that the webhook has not taken.")
        .is(counts.webhook_failures);
}
