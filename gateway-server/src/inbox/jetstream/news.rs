//! Hearing what was stored and forgotten, by this node and others, in the order of the stream.
//!
//! A consumer that only this node has gives it everything from a position on. It is made anew behind the last position that was told
//! whenever it may have missed something, so that nothing is skipped.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, StatusCode};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::json;
use tokio::sync::Notify;

use super::api::{ApiError, RawMessage};
use super::news_buffer::NewsBuffer;
use super::shared::Shared;
use super::stream;
use crate::inbox::model::Millis;
use crate::inbox::store::News;
use crate::system::ages::millis;
use crate::telemetry::clock;

/// The messages and bytes that are asked for at once.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 4 << 20;
/// For how long one request for messages stands.
const STANDING: Duration = Duration::from_secs(20);
/// How often the server says that it has nothing.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// After this time without a word, the consumer is made anew.
const SILENCE: Duration = Duration::from_secs(5);
/// For how long the server keeps the consumer when nobody asks.
const ABANDONED: Duration = Duration::from_secs(30);
/// The pause before the consumer is made anew.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the consumer is to be made anew.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Api(#[from] ApiError),
    #[error("{0}")]
    Client(String),
    #[error("the server has ended it: {0}")]
    Server(String),
    #[error("message {found} came where {expected} was to come")]
    Gap { expected: u64, found: u64 },
    #[error("the server says nothing")]
    Silence,
    #[error("the connection was made anew, or the stream may be another")]
    Again,
}

/// Tells the buffer everything behind a position, for ever.
pub(super) async fn follow(shared: Arc<Shared>, buffer: Arc<NewsBuffer>, again: Arc<Notify>, mut told: u64) {
    loop {
        let Err(ended) = follow_once(&shared, &buffer, &again, &mut told).await;
        tracing::debug!(%ended, told, "what others store is asked for anew");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow_once(
    shared: &Shared,
    buffer: &NewsBuffer,
    again: &Notify,
    told: &mut u64,
) -> Result<std::convert::Infallible, Ended> {
    // What has called until now is answered by what follows.
    again.notified().now_or_never();
    let api = &shared.api;
    let state = stream::ensure(api, &shared.names, shared.settings).await?;
    if state.seed == shared.seed() && state.last_seq < *told {
        tracing::error!(
            last = state.last_seq,
            told = *told,
            "the stream of the store has lost messages, as NATS was restarted without what it had not synced to disk"
        );
        stream::reseed(api, state.seed).await?;
        return Err(Ended::Again);
    }
    if shared.take(&state) {
        *told = state.last_seq;
        buffer.push(News::Everything).await;
    }
    let inbox = api.client().new_inbox();
    let mut messages = api.client().subscribe(inbox.clone()).await.map_err(client)?;
    let consumer = consumer(shared, *told + 1).await?;
    pull(shared, &consumer, &inbox).await?;
    let (mut expected, mut left) = (1, BATCH);
    loop {
        let message = tokio::select! {
            message = tokio::time::timeout(SILENCE, messages.next()) => message,
            () = again.notified() => return Err(Ended::Again),
        };
        let message =
            message.map_err(|_| Ended::Silence)?.ok_or_else(|| client("the subscription has ended"))?;
        if let Some(status) = message.status {
            if is_end_of_pull(status, &message)? {
                pull(shared, &consumer, &inbox).await?;
                left = BATCH;
            }
            continue;
        }
        let (seq, count) =
            position(&message).ok_or_else(|| Ended::Server("it counts otherwise".to_owned()))?;
        if count != expected {
            return Err(Ended::Gap { expected, found: count });
        }
        expected += 1;
        if let Some(news) = news_of(shared, message, seq, millis(clock::since_epoch())) {
            buffer.push(news).await;
        }
        *told = seq;
        left -= 1;
        if left == 0 {
            pull(shared, &consumer, &inbox).await?;
            left = BATCH;
        }
    }
}

/// Makes a consumer of everything from a position on, and gives its name.
async fn consumer(shared: &Shared, from: u64) -> Result<String, ApiError> {
    let config = json!({
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": from,
        "ack_policy": "none",
        "replay_policy": "instant",
        "filter_subject": shared.names.news(),
        "inactive_threshold": nanos(ABANDONED),
        "mem_storage": true,
        "num_replicas": 1,
    });
    let body = json!({"stream_name": shared.api.stream(), "config": config});
    let made = shared.api.call("CONSUMER.CREATE", "", &body).await?;
    Ok(made["name"].as_str().unwrap_or_default().to_owned())
}

/// Counts what the subjects have, by a consumer that is asked for nothing.
pub(super) async fn count(shared: &Shared, subjects: &str) -> Result<u64, ApiError> {
    let config = json!({
        "deliver_policy": "all",
        "ack_policy": "none",
        "filter_subject": subjects,
        "inactive_threshold": nanos(ABANDONED),
        "mem_storage": true,
        "num_replicas": 1,
    });
    let body = json!({"stream_name": shared.api.stream(), "config": config});
    let made = shared.api.call("CONSUMER.CREATE", "", &body).await?;
    if let Some(name) = made["name"].as_str() {
        shared.api.call("CONSUMER.DELETE", &format!(".{name}"), &json!({})).await?;
    }
    Ok(made["num_pending"].as_u64().unwrap_or(0))
}

async fn pull(shared: &Shared, consumer: &str, inbox: &str) -> Result<(), Ended> {
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{consumer}", shared.api.stream());
    let body = json!({
        "batch": BATCH,
        "max_bytes": BATCH_BYTES,
        "expires": nanos(STANDING),
        "idle_heartbeat": nanos(HEARTBEAT),
    });
    let asked = shared.api.client().publish_with_reply(subject, inbox.to_owned(), body.to_string().into());
    asked.await.map_err(client)
}

/// Says whether a word of the server ends what was asked for last.
fn is_end_of_pull(status: StatusCode, message: &Message) -> Result<bool, Ended> {
    let words = message.description.as_deref().unwrap_or_default();
    match status.as_u16() {
        // It has nothing, and says so from time to time.
        100 => Ok(false),
        404 | 408 => Ok(true),
        409 if words.contains("Exceed") || words.contains("Batch Completed") => Ok(true),
        code => Err(Ended::Server(format!("{code} {words}"))),
    }
}

/// Gives the position of a message in the stream, and its number among those that the consumer has given.
fn position(message: &Message) -> Option<(u64, u64)> {
    let reply = message.reply.as_ref()?.as_str();
    let words: Vec<_> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
    // Newer servers put the domain and the account in front, and may put a word behind.
    let first = if words.len() == 7 { 3 } else { 5 };
    Some((words.get(first)?.parse().ok()?, words.get(first + 1)?.parse().ok()?))
}

/// Gives what a message of the stream says; `None` if it is of nobody with the secret, or has had its time.
fn news_of(shared: &Shared, message: Message, seq: u64, now: Millis) -> Option<News> {
    let raw = RawMessage { seq, subject: message.subject.to_string(), body: message.payload };
    let (uid, words) = shared.names.of_news(&raw.subject)?;
    if words == "f" {
        let uid_bytes: Bytes = shared.names.open(&raw.subject, &raw.body)?;
        return Some(News::Forgotten { epoch: shared.epoch(&uid, seq), uid: uid_bytes, seq });
    }
    let kept = shared.message(&raw).filter(|kept| kept.expires_at > now)?;
    Some(News::Stored { message: Box::new(kept.into_new()), seq })
}

fn client(error: impl std::fmt::Display) -> Ended {
    Ended::Client(error.to_string())
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
