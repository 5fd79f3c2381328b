//! The stream of a cluster: its settings, who makes it, and what tells it from another.

use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, ApiError};
use super::names::Names;
use crate::inbox::bounds::Bounds;
use gateway_wire::bridge::delivery::LONGEST_TTL;

/// How long NATS knows the ids of messages, so that one that comes again is not stored again.
const DUPLICATES: Duration = Duration::from_secs(600);
/// The name of the random number in the stream's metadata, of which epochs are made.
const SEED: &str = "gateway-epoch";
/// The bytes of a message in the stream at most, with everything that stands around its payload.
const LONGEST: u64 = 96 << 10;
/// The bytes that the stream may have beyond those of messages, so that devices come and acknowledge, and uids are forgotten, also
/// while it is full.
const RESERVE: u64 = 16 << 20;

/// What the stream is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamSettings {
    pub(super) replicas: usize,
    pub(super) bounds: Bounds,
    /// Whether the server removes single messages when their time has ended.
    pub(super) has_ttl: bool,
}

/// What the stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StreamState {
    /// The random number that tells the stream from every other, also from one of the same name that was there before.
    pub(super) seed: u128,
    pub(super) last_seq: u64,
    pub(super) bytes: u64,
}

/// Gives the stream, which it makes if there is none, and brings its settings up to date.
pub(super) async fn ensure(
    api: &Api,
    names: &Names,
    wanted: StreamSettings,
) -> Result<StreamState, ApiError> {
    // Another node may make or change the stream at the same time.
    for _ in 0..5 {
        let info = match api.call("STREAM.INFO", "", &json!({})).await {
            Ok(info) => info,
            Err(error) if error.is_no_stream() => {
                match api.call("STREAM.CREATE", "", &config(api.stream(), names, wanted)).await {
                    Err(error) if error.is_other_config() => continue,
                    made => made?,
                }
            }
            Err(error) => return Err(error),
        };
        let mut is = info["config"].clone();
        if is["subjects"] != json!([names.everything()]) {
            return Err(ApiError::Refused {
                code: 0,
                description: format!(
                    "the stream {} is not one of this server: it has other subjects",
                    api.stream()
                ),
            });
        }
        let (own, mut changes) = (config(api.stream(), names, wanted), false);
        let changeable =
            ["max_bytes", "num_replicas", "max_msgs_per_subject", "duplicate_window", "allow_msg_ttl"];
        for key in changeable.into_iter().filter(|key| !own[key].is_null()) {
            // A server that removes single messages by itself cannot be told to do so no more.
            if is[key] != own[key] && own[key] != json!(false) {
                (is[key], changes) = (own[key].clone(), true);
            }
        }
        if seed_of(&is).is_none() {
            (is["metadata"][SEED], changes) = (own["metadata"][SEED].clone(), true);
        }
        if changes {
            api.call("STREAM.UPDATE", "", &is).await?;
            continue;
        }
        if let Some(state) = state_of(&info) {
            return Ok(state);
        }
    }
    let description =
        "others change the stream all the time: is store_bytes the same on all nodes?".to_owned();
    Err(ApiError::Refused { code: 0, description })
}

/// Gives what the stream is now.
pub(super) async fn state(api: &Api) -> Result<StreamState, ApiError> {
    let info = api.call("STREAM.INFO", "", &json!({})).await?;
    let unknown =
        || ApiError::Refused { code: 0, description: "the stream is not one of this server".to_owned() };
    state_of(&info).ok_or_else(unknown)
}

/// Gives the stream another seed, as its positions are given again: it has lost what it had last.
pub(super) async fn reseed(api: &Api, before: u128) -> Result<(), ApiError> {
    let info = api.call("STREAM.INFO", "", &json!({})).await?;
    let mut config = info["config"].clone();
    // Another node may have seen it first.
    if seed_of(&config) == Some(before) {
        config["metadata"][SEED] = random().into();
        api.call("STREAM.UPDATE", "", &config).await?;
    }
    Ok(())
}

fn state_of(info: &Value) -> Option<StreamState> {
    let number = |key: &str| info["state"][key].as_u64();
    Some(StreamState {
        seed: seed_of(&info["config"])?,
        last_seq: number("last_seq")?,
        bytes: number("bytes")?,
    })
}

fn seed_of(config: &Value) -> Option<u128> {
    u128::from_str_radix(config["metadata"][SEED].as_str()?, 16).ok()
}

fn random() -> String {
    // Where the system has no random numbers, nothing that is secret depends on these.
    let [first, second] = [0; 2].map(|_| getrandom::u64().unwrap_or_default());
    format!("{first:016x}{second:016x}")
}

fn config(name: &str, names: &Names, wanted: StreamSettings) -> Value {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let StreamSettings { replicas, bounds, has_ttl } = wanted;
    json!({
        "name": name,
        "description": "messages of gateway-server for users who are not there",
        "subjects": [names.everything()],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "max_consumers": -1,
        "max_msgs": -1,
        "max_msgs_per_subject": bounds.messages,
        "max_bytes": bounds.store_bytes.saturating_add(bounds.store_bytes / 16).saturating_add(RESERVE),
        "max_age": nanos(Duration::from_secs(LONGEST_TTL)),
        "max_msg_size": LONGEST,
        // The oldest of one uid make room, and a stream that is full refuses.
        "discard": "new",
        "discard_new_per_subject": false,
        "duplicate_window": nanos(DUPLICATES),
        "allow_rollup_hdrs": true,
        "allow_msg_ttl": has_ttl,
        "metadata": {SEED: random()},
    })
}
