//! Pusher's protocol, which Sockudo and Reverb speak: how a client comes and subscribes to a channel, and the signed requests by which
//! messages are published.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use md5::{Digest as _, Md5};
use ring::hmac;
use serde_json::{Value, json};

pub(crate) const APP_ID: &str = "bench";
pub(crate) const APP_KEY: &str = "bench-key";
pub(crate) const APP_SECRET: &str = "bench-secret";

/// The most messages of a request with several; clients of Pusher's own service know the same limit.
pub(crate) const BATCH: usize = 10;

/// The name that all messages have.
const EVENT: &str = "m";

/// The path at which a client comes; it subscribes to its channel later.
pub(crate) fn path() -> String {
    format!("/app/{APP_KEY}?protocol=7&client=bench&version=1")
}

/// The message by which a client subscribes to a public channel.
pub(crate) fn subscription(channel: &str) -> String {
    json!({ "event": "pusher:subscribe", "data": { "channel": channel } }).to_string()
}

/// A message as the HTTP API takes it; its payload has to be text. Clients get the name, the channel and the payload, as JSON.
pub(crate) fn event(channel: &str, payload: &[u8]) -> anyhow::Result<Value> {
    let data = str::from_utf8(payload).context("a payload that is no text")?;
    Ok(json!({ "name": EVENT, "channel": channel, "data": data }))
}

/// Makes requests to the HTTP API, and signs them.
pub(crate) struct Signer {
    server: SocketAddr,
    key: hmac::Key,
}

impl Signer {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self { server, key: hmac::Key::new(hmac::HMAC_SHA256, APP_SECRET.as_bytes()) }
    }

    /// The request that publishes one message, or up to [`BATCH`] of them.
    pub(crate) fn request(&self, events: &[Value]) -> anyhow::Result<Vec<u8>> {
        let (name, body) = match events {
            [event] => ("events", event.to_string()),
            batch => ("batch_events", json!({ "batch": batch }).to_string()),
        };
        let path = format!("/apps/{APP_ID}/{name}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let digest = hex(&Md5::digest(&body));
        let query = format!("auth_key={APP_KEY}&auth_timestamp={now}&auth_version=1.0&body_md5={digest}");
        let signature = hmac::sign(&self.key, format!("POST\n{path}\n{query}").as_bytes());
        let signature = hex(signature.as_ref());
        let (server, length) = (self.server, body.len());
        Ok(format!(
            "POST {path}?{query}&auth_signature={signature} HTTP/1.1\r\nHost: {server}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
