//! The bridge: the protocol between one PHP process and a gateway over one TCP or unix connection.
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
//! The diagram shows a connection that sends calls; [`ServerToWorker`] and [`WorkerToServer`] are what follows a worker's login.
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
pub mod worker_notices;

pub use answer_value::AnswerValue;
pub use handshake::{Login, NONCE_BYTES, Nonce, PROOF_BYTES, Producer, Proof};
pub use merge::Aggregation;
pub use raw::{BadValue, RawItems, RawPart, RawValue};
pub use request::{Call, MAX_ELEMENTS, Names, Order, PhpStr, Query, Request, delivery, kind};
pub use response::{ANSWER_HEAD, Reply};
pub use routing::Route;
pub use worker_event::{EventKind, MAX_WORKER_NAME, ServerToWorker, WorkerEvent, WorkerToServer};

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The only version of the bridge that this crate speaks. In version 1 the gateway did not prove that it knows the secret.
pub const VERSION: u8 = 2;

/// The four bytes by which PHP opens a bridge.
pub const PREFACE: [u8; 4] = [PREFACE_FIRST_BYTE, b'G', b'W', VERSION];
/// The first byte of the preface, which tells a bridge from the other protocols on the same port: msgpack never uses it, and
/// neither of GatewayWorker's protocols begins with it.
pub const PREFACE_FIRST_BYTE: u8 = 0xC1;

/// Longest uid or group name, in bytes.
pub const MAX_NAME: usize = 1024;

/// Why the first bytes of a connection do not open a bridge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefaceError {
    /// The peer speaks another protocol.
    #[error("the first bytes are not those of a gateway bridge")]
    NotABridge,
    /// The peer speaks the bridge in this version, which is not [`VERSION`].
    #[error(
        "bridge version {0} is not spoken here, only version {VERSION}: extension and server must be of one release"
    )]
    UnknownVersion(u8),
}

/// Checks that `preface`, the first four bytes from the peer, are [`PREFACE`].
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
    /// The bytes are no msgpack, end too early, nest too deep, or hold another type than this message has.
    #[error("not the msgpack expected: {0}")]
    Msgpack(#[from] rmp_serde::decode::Error),
    /// The message is whole, and more bytes stand behind it in its frame.
    #[error("bytes follow the end of the message")]
    TrailingBytes,
}

/// Decodes exactly one msgpack value, whose strings borrow from `bytes`.
fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    let value = T::deserialize(&mut deserializer)?;
    // The deserializer does not tell where it stands, so it is asked for one more value: only at the end of the bytes is there no
    // marker left to read.
    match IgnoredAny::deserialize(&mut deserializer) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
        _ => Err(DecodeError::TrailingBytes),
    }
}

/// Levels of nesting that a message may have. No message of ours comes near it; it bounds the decoder's recursion.
const MAX_DEPTH: usize = 16;
