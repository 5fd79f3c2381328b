//! The bridge: how one PHP process talks to a gateway over one TCP or unix connection.
//!
//! ```text
//! PHP                                          gateway
//!  │ 0xC1 'G' 'W' version ──────────────────────▶ │   preface
//!  │ ◀──────────────────────── Hello { nonce, … } │
//!  │ Login { role, producer, nonce, proof } ────▶ │   the secret itself never travels
//!  │ ◀─────────────── Welcome { applied, proof }  │   or Error, then the connection closes
//!  │ call, call, call … ────────────────────────▶ │
//!  │ ◀────────────────────── ack, answer, ack …   │
//! ```
//!
//! After the preface both sides send [`frame`]s: a `u32` big-endian length, then one msgpack array.
//! What follows the login of a worker stands in `worker_event`.
//! Calls are numbered upwards from 1 by a *producer*, one PHP process. The gateway remembers, for each producer,
//! the highest number that it applied, so that calls sent again after a lost connection take effect once.

mod answer_value;
pub mod frame;
mod handshake;
mod merge;
pub mod progress_file;
mod raw;
mod request;
mod response;
mod routing;
mod worker_event;

pub use answer_value::AnswerValue;
pub use handshake::{Login, NONCE_BYTES, Nonce, PROOF_BYTES, Producer, Proof};
pub use merge::Aggregation;
pub use raw::{BadValue, RawItems, RawPart, RawValue};
pub use request::{Call, MAX_ELEMENTS, Names, Order, PhpStr, Query, Request, kind};
pub use response::{ANSWER_HEAD, Reply};
pub use routing::Route;
pub use worker_event::{EventKind, MAX_WORKER_NAME, ServerToWorker, WorkerEvent, WorkerToServer};

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The only version that is spoken. In version 1 the gateway proved nothing.
pub const VERSION: u8 = 2;

/// What opens a bridge. Its first byte is the one that msgpack never uses, and neither of GatewayWorker's protocols
/// begins with it.
pub const PREFACE: [u8; 4] = [PREFACE_FIRST_BYTE, b'G', b'W', VERSION];
pub const PREFACE_FIRST_BYTE: u8 = 0xC1;

/// Longest uid or group name, in bytes.
pub const MAX_NAME: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefaceError {
    #[error("the first bytes are not those of a gateway bridge")]
    NotABridge,
    #[error(
        "bridge version {0} is not spoken here, only version {VERSION}: extension and server must be of one release"
    )]
    UnknownVersion(u8),
}

pub fn check_preface(preface: [u8; 4]) -> Result<(), PrefaceError> {
    match preface {
        PREFACE => Ok(()),
        [PREFACE_FIRST_BYTE, b'G', b'W', version] => Err(PrefaceError::UnknownVersion(version)),
        _ => Err(PrefaceError::NotABridge),
    }
}

/// Why a frame's content was refused.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("not the msgpack expected: {0}")]
    Msgpack(#[from] rmp_serde::decode::Error),
    #[error("bytes follow the end of the message")]
    TrailingBytes,
}

/// Decodes exactly one msgpack value, borrowing its strings from `bytes`.
fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    let value = T::deserialize(&mut deserializer)?;
    // The deserializer does not tell where it stands, so ask it for one more value.
    match IgnoredAny::deserialize(&mut deserializer) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
        _ => Err(DecodeError::TrailingBytes),
    }
}

/// Nesting that any message of ours stays under.
const MAX_DEPTH: usize = 16;
