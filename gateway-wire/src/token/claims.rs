//! What a connect token says, as JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::bridge::MAX_NAME;
use crate::json_object_to_php;

/// Longest token, in bytes.
pub const MAX_TOKEN: usize = 8 << 10;

pub(super) const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;
/// Clocks may be so many seconds apart; that a token is good for longer is nobody's wish.
const LEEWAY: u64 = 60;
/// Longest `jti`, in bytes.
const MAX_ONCE: usize = 128;

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    pub uid: String,
    /// In seconds since 1970, as is `not_before`.
    pub expires: u64,
    pub not_before: Option<u64>,
    pub groups: Vec<String>,
    /// Nothing when empty.
    pub session: Map<String, Value>,
    /// The name under which it is good once only.
    pub once: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("it is no JSON Web Token")]
    NotAToken,
    #[error("it has {0} bytes, more than the {max} allowed", max = MAX_TOKEN)]
    TooLong(usize),
    #[error("it is signed with another key, or has been changed")]
    WrongSignature,
    #[error("its header does not say HS256, the only algorithm there is here, or asks for more than that")]
    OtherAlgorithm,
    #[error("{0}")]
    BadClaims(String),
    #[error("it expired at {0} (seconds since 1970)")]
    Expired(u64),
    #[error("it is good only from {0} on (seconds since 1970)")]
    TooEarly(u64),
}

pub(super) fn check_header(header: &[u8]) -> Result<(), TokenError> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
        /// Extensions that must be understood; none is.
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
}

impl Claims {
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
        };
        claims.validate()?;
        Ok(claims)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, TokenError> {
        self.validate()?;
        let payload = Payload {
            sub: Value::from(self.uid.clone()),
            exp: self.expires.into(),
            nbf: self.not_before.map(Value::from),
            groups: self.groups.clone(),
            session: self.session.clone(),
            jti: self.once.clone(),
        };
        serde_json::to_vec(&payload).map_err(|error| bad(error.to_string()))
    }

    pub(super) fn check(&self, now: u64) -> Result<(), TokenError> {
        if self.expires <= now {
            return Err(TokenError::Expired(self.expires));
        }
        match self.not_before {
            Some(from) if from > now.saturating_add(LEEWAY) => Err(TokenError::TooEarly(from)),
            _ => Ok(()),
        }
    }

    /// The session as PHP's `serialize()` gives it; no bytes when there is none.
    pub fn serialized_session(&self) -> Vec<u8> {
        if self.session.is_empty() { Vec::new() } else { json_object_to_php(&self.session) }
    }

    fn validate(&self) -> Result<(), TokenError> {
        let is_name = |name: &str| (1..=MAX_NAME).contains(&name.len());
        if !is_name(&self.uid) {
            return Err(bad(format!("sub, the uid, must have 1 to {MAX_NAME} bytes")));
        }
        if !self.groups.iter().all(|group| is_name(group)) {
            return Err(bad(format!("each of groups must have 1 to {MAX_NAME} bytes")));
        }
        match &self.once {
            Some(once) if !(1..=MAX_ONCE).contains(&once.len()) => {
                Err(bad(format!("jti must have 1 to {MAX_ONCE} bytes")))
            }
            _ => Ok(()),
        }
    }
}

/// A NumericDate, which may have a fraction.
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
