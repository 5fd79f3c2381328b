//! JetStream's API, as far as a store needs it: requests over NATS, each with a time limit.
//!
//! The requests are written out here, as they say more than a client library does: which answers of the server mean what, and that
//! single messages are read from the leader of the stream, which alone has everything.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Request, RequestErrorKind};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::inbox::store::StoreError;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The numbers that JetStream gives errors.
mod code {
    pub(super) const NO_MESSAGE: u32 = 10037;
    pub(super) const NO_STREAM: u32 = 10059;
    pub(super) const OTHER_CONFIG: u32 = 10058;
    pub(super) const WRONG_SEQUENCE: [u32; 2] = [10071, 10164];
    pub(super) const NO_STORAGE: [u32; 3] = [10023, 10028, 10047];
    pub(super) const TOO_FEW_PEERS: u32 = 10005;
    pub(super) const NO_PEERS: [u32; 2] = [TOO_FEW_PEERS, 10074];
    pub(super) const OFF: [u32; 2] = [10039, 10076];
}

/// Asks JetStream about one stream.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
    stream: String,
}

/// Why there is no answer, or none that helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    #[error("{0}")]
    Unreachable(String),
    #[error("nobody answers: JetStream is off, or the stream has no leader")]
    NobodyThere,
    #[error("JetStream says: {description} (error {code})")]
    Refused { code: u32, description: String },
}

/// A message of the stream as it is kept.
#[derive(Debug)]
pub(super) struct RawMessage {
    pub(super) seq: u64,
    pub(super) subject: String,
    pub(super) body: Bytes,
}

/// The answer to a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) seq: u64,
    /// The stream has a message with this id at that position already.
    pub(super) is_duplicate: bool,
}

/// What is published.
pub(super) struct Publish<'p> {
    pub(super) subject: &'p str,
    pub(super) body: Bytes,
    /// Whether the messages before it on the subject go.
    pub(super) replaces: bool,
    /// The id by which NATS knows it again.
    pub(super) id: Option<&'p str>,
    /// The position of the last message on the subject, which another must not have changed; 0 if there is none.
    pub(super) behind: Option<u64>,
    /// The seconds after which the server removes it by itself, where it can.
    pub(super) ttl: Option<u64>,
}

#[derive(Deserialize)]
struct ErrorForm {
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct MessageAnswer {
    message: Option<MessageForm>,
}

#[derive(Deserialize)]
struct MessageForm {
    subject: String,
    seq: u64,
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct AckAnswer {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
}

#[derive(Deserialize)]
struct MaybeError {
    error: Option<ErrorForm>,
}

impl ApiError {
    fn is(&self, codes: &[u32]) -> bool {
        matches!(self, Self::Refused { code, .. } if codes.contains(code))
    }

    pub(super) fn is_no_stream(&self) -> bool {
        self.is(&[code::NO_STREAM])
    }

    pub(super) fn is_other_config(&self) -> bool {
        self.is(&[code::OTHER_CONFIG])
    }

    /// Says whether somebody else has written to the subject meanwhile.
    pub(super) fn is_wrong_sequence(&self) -> bool {
        self.is(&code::WRONG_SEQUENCE)
    }

    /// Gives the position of the last message on the subject, where the server has said which one it is.
    pub(super) fn told_sequence(&self) -> Option<u64> {
        match self {
            Self::Refused { description, .. } => description.rsplit(' ').next()?.parse().ok(),
            Self::Unreachable(_) | Self::NobodyThere => None,
        }
    }

    /// Says whether JetStream does not work for this account at all.
    pub(super) fn is_off(&self) -> bool {
        *self == Self::NobodyThere || self.is(&code::OFF)
    }

    /// Says whether NATS knows too few servers for the stream, which may be there in a moment.
    pub(super) fn lacks_servers(&self) -> bool {
        self.is(&[code::TOO_FEW_PEERS])
    }

    /// Says whether the servers cannot keep the stream as it is wanted.
    pub(super) fn is_too_much(&self) -> bool {
        self.is(&code::NO_STORAGE) || self.is(&code::NO_PEERS)
    }

    /// Says whether the stream has reached its bytes.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Refused { description, .. } if description.contains("maximum bytes exceeded"))
    }
}

impl From<ApiError> for StoreError {
    fn from(error: ApiError) -> Self {
        match error {
            error if error.is_full() || error.is(&code::NO_STORAGE) => Self::DiskFull(error.to_string()),
            error if error.is_no_stream() => Self::Gone(error.to_string()),
            error => Self::Io(error.to_string()),
        }
    }
}

impl Api {
    pub(super) fn new(client: Client, stream: String) -> Self {
        Self { client, stream }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// Calls a function of the API, as `STREAM.INFO`, for the stream, with more words behind its name.
    pub(super) async fn call(&self, function: &str, more: &str, body: &Value) -> Result<Value, ApiError> {
        let subject = format!("$JS.API.{function}.{}{more}", self.stream);
        self.ask(subject, Request::new().payload(body.to_string().into())).await
    }

    /// Asks whether JetStream works.
    pub(super) async fn account(&self) -> Result<(), ApiError> {
        self.ask("$JS.API.INFO".to_owned(), Request::new()).await.map(|_: Value| ())
    }

    /// Gives the first message from a position on whose subject matches.
    pub(super) async fn next(&self, from: u64, subjects: &str) -> Result<Option<RawMessage>, ApiError> {
        self.get(&json!({"seq": from, "next_by_subj": subjects})).await
    }

    /// Gives the last message whose subject matches.
    pub(super) async fn last(&self, subjects: &str) -> Result<Option<RawMessage>, ApiError> {
        self.get(&json!({"last_by_subj": subjects})).await
    }

    /// Gives the message at a position.
    pub(super) async fn at(&self, seq: u64) -> Result<Option<RawMessage>, ApiError> {
        self.get(&json!({"seq": seq})).await
    }

    async fn get(&self, wanted: &Value) -> Result<Option<RawMessage>, ApiError> {
        let subject = format!("$JS.API.STREAM.MSG.GET.{}", self.stream);
        let answer = self.ask(subject, Request::new().payload(wanted.to_string().into())).await;
        let MessageForm { subject, seq, data } = match answer {
            Ok(MessageAnswer { message: Some(message) }) => message,
            Ok(MessageAnswer { message: None }) => return Err(malformed(&"a message without content")),
            Err(error) if error.is(&[code::NO_MESSAGE]) => return Ok(None),
            Err(error) => return Err(error),
        };
        let body = BASE64_STANDARD.decode(data).map_err(|error| malformed(&error))?.into();
        Ok(Some(RawMessage { seq, subject, body }))
    }

    pub(super) async fn publish(&self, publish: Publish<'_>) -> Result<Ack, ApiError> {
        let mut headers = HeaderMap::new();
        // It is an error, and not stored, where another stream has the subject.
        headers.insert("Nats-Expected-Stream", self.stream.as_str());
        if publish.replaces {
            headers.insert("Nats-Rollup", "sub");
        }
        if let Some(id) = publish.id {
            headers.insert("Nats-Msg-Id", id);
        }
        if let Some(seq) = publish.behind {
            headers.insert("Nats-Expected-Last-Subject-Sequence", seq.to_string());
        }
        if let Some(ttl) = publish.ttl {
            headers.insert("Nats-TTL", format!("{ttl}s"));
        }
        let request = Request::new().headers(headers).payload(publish.body);
        let AckAnswer { seq, duplicate } = self.ask(publish.subject.to_owned(), request).await?;
        Ok(Ack { seq, is_duplicate: duplicate })
    }

    async fn ask<T: DeserializeOwned>(&self, subject: String, request: Request) -> Result<T, ApiError> {
        // What is asked while there is no connection would be sent whenever there is one again, when nobody waits for it any more.
        if self.client.connection_state() != State::Connected {
            return Err(ApiError::Unreachable("there is no connection to NATS".to_owned()));
        }
        let answer = self.client.send_request(subject, request.timeout(Some(PATIENCE))).await;
        let answer = answer.map_err(|error| match error.kind() {
            RequestErrorKind::TimedOut => {
                ApiError::Unreachable(format!("JetStream has not answered for {} s", PATIENCE.as_secs()))
            }
            RequestErrorKind::NoResponders => ApiError::NobodyThere,
            _ => ApiError::Unreachable(error.to_string()),
        })?;
        let parsed = serde_json::from_slice(&answer.payload).map_err(|error| malformed(&error))?;
        if let MaybeError { error: Some(error) } = parsed {
            return Err(ApiError::Refused { code: error.err_code, description: error.description });
        }
        serde_json::from_slice(&answer.payload).map_err(|error| malformed(&error))
    }
}

fn malformed(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::Unreachable(format!("JetStream's answer is not understood: {error}"))
}
