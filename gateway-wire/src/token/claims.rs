//! The claims of a connect token, from JSON and to JSON, and what is wrong with a token.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::bridge::MAX_NAME;
use crate::json_object_to_php;

/// Longest token, in bytes.
pub const MAX_TOKEN: usize = 8 << 10;

/// The header of the tokens that are made here.
pub(super) const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;
/// Seconds by which the clocks of the application and the server may differ. They are allowed for `nbf` only: for `exp` they would make
/// each token good for longer than the application said.
const LEEWAY: u64 = 60;
/// Longest `jti`, in bytes.
const MAX_ONCE: usize = 128;
/// Longest `dev`, in bytes.
const MAX_DEVICE: usize = 64;

/// The claims of a token: what the application says of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The uid to which the client is bound, of 1 to [`MAX_NAME`] bytes: the claim `sub`. A number is read as its decimal digits.
    pub uid: String,
    /// The time from which the token is good no more, in seconds since 1970: the claim `exp`.
    pub expires: u64,
    /// The time from which the token is good, in seconds since 1970: the claim `nbf`. It is allowed to lie 60 seconds ahead.
    pub not_before: Option<u64>,
    /// The groups that the client joins, each of 1 to [`MAX_NAME`] bytes: the claim `groups`.
    pub groups: Vec<String>,
    /// The client's session: the claim `session`. An empty one is no session.
    pub session: Map<String, Value>,
    /// The name under which the token is good once only, of 1 to 128 bytes: the claim `jti`.
    pub once: Option<String>,
    /// The name of the client's device in the inbox, of 1 to 64 bytes: the claim `dev`.
    pub device: Option<String>,
}

/// Why a token is refused, or cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The text is no token: it has not three parts between dots, or one of them is no base64url.
    #[error("it is no JSON Web Token")]
    NotAToken,
    /// The token has this length, in bytes, which is over [`MAX_TOKEN`].
    #[error("it has {0} bytes, more than the {max} allowed", max = MAX_TOKEN)]
    TooLong(usize),
    /// The signature is not that of this key for this token.
    #[error("it is signed with another key, or has been changed")]
    WrongSignature,
    /// The header names another algorithm than `HS256`, is no JSON object, or has `crit`.
    #[error("its header does not say HS256, the only algorithm there is here, or asks for more than that")]
    OtherAlgorithm,
    /// A claim is missing, of the wrong type, or too long. The text names it.
    #[error("{0}")]
    BadClaims(String),
    /// The token expired at this time, in seconds since 1970.
    #[error("it expired at {0} (seconds since 1970)")]
    Expired(u64),
    /// The token is good only from this time on, in seconds since 1970.
    #[error("it is good only from {0} on (seconds since 1970)")]
    TooEarly(u64),
}

/// Checks that a token's header asks for the one algorithm that there is here. Its other members, such as `kid`, are ignored.
pub(super) fn check_header(header: &[u8]) -> Result<(), TokenError> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
        /// The extensions that a reader must understand (RFC 7515). No extension is understood here.
        crit: Option<Value>,
    }
    match serde_json::from_slice(header) {
        Ok(Header { alg, crit: None }) if alg == "HS256" => Ok(()),
        _ => Err(TokenError::OtherAlgorithm),
    }
}

/// The claims as they stand in a token.
#[derive(Deserialize, Serialize)]
struct Payload {
    sub: Value,
    exp: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    session: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dev: Option<String>,
}

impl Claims {
    /// Reads the claims of a payload, whose times are not compared with the clock.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, TokenError> {
        let payload: Payload = serde_json::from_slice(payload).map_err(|error| bad(error.to_string()))?;
        let claims = Self {
            uid: match payload.sub {
                Value::String(uid) => uid,
                Value::Number(uid) => uid.to_string(),
                _ => return Err(bad("sub is no string or number")),
            },
            expires: seconds(&payload.exp).ok_or_else(|| bad("exp is no time in seconds since 1970"))?,
            not_before: match &payload.nbf {
                Some(nbf) => Some(seconds(nbf).ok_or_else(|| bad("nbf is no time in seconds since 1970"))?),
                None => None,
            },
            groups: payload.groups,
            session: payload.session,
            once: payload.jti,
            device: payload.dev,
        };
        claims.validate()?;
        Ok(claims)
    }

    /// Makes the payload of a token.
    pub(super) fn encode(&self) -> Result<Vec<u8>, TokenError> {
        self.validate()?;
        let payload = Payload {
            sub: Value::from(self.uid.clone()),
            exp: self.expires.into(),
            nbf: self.not_before.map(Value::from),
            groups: self.groups.clone(),
            session: self.session.clone(),
            jti: self.once.clone(),
            dev: self.device.clone(),
        };
        serde_json::to_vec(&payload).map_err(|error| bad(error.to_string()))
    }

    /// Checks the times of the claims against `now`, in seconds since 1970.
    pub(super) fn check(&self, now: u64) -> Result<(), TokenError> {
        if self.expires <= now {
            return Err(TokenError::Expired(self.expires));
        }
        match self.not_before {
            Some(from) if from > now.saturating_add(LEEWAY) => Err(TokenError::TooEarly(from)),
            _ => Ok(()),
        }
    }

    /// Makes the session as PHP's `serialize()` writes it; no bytes when there is none.
    pub fn serialized_session(&self) -> Vec<u8> {
        if self.session.is_empty() { Vec::new() } else { json_object_to_php(&self.session) }
    }

    /// Checks that names are neither empty nor too long.
    fn validate(&self) -> Result<(), TokenError> {
        let is_name = |name: &str| (1..=MAX_NAME).contains(&name.len());
        if !is_name(&self.uid) {
            return Err(bad(format!("sub, the uid, must have 1 to {MAX_NAME} bytes")));
        }
        if !self.groups.iter().all(|group| is_name(group)) {
            return Err(bad(format!("each of groups must have 1 to {MAX_NAME} bytes")));
        }
        if self.device.as_ref().is_some_and(|device| !(1..=MAX_DEVICE).contains(&device.len())) {
            return Err(bad(format!("dev must have 1 to {MAX_DEVICE} bytes")));
        }
        match &self.once {
            Some(once) if !(1..=MAX_ONCE).contains(&once.len()) => {
                Err(bad(format!("jti must have 1 to {MAX_ONCE} bytes")))
            }
            _ => Ok(()),
        }
    }
}

/// Reads a NumericDate of RFC 7519, seconds since 1970, whose fraction is cut off.
fn seconds(value: &Value) -> Option<u64> {
    const LAST: f64 = 1e12;
    match value.as_u64() {
        Some(seconds) => Some(seconds),
        None => value.as_f64().filter(|seconds| (0.0..LAST).contains(seconds)).map(|seconds| seconds as u64),
    }
}

fn bad(reason: impl Into<String>) -> TokenError {
    TokenError::BadClaims(reason.into())
}
