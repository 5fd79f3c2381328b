//! The texts that settings take: a check each, which says what is wrong.

use crate::protocol::websocket::is_subprotocol;
use crate::telemetry::logs;

/// It stands in subjects of NATS, whose parts these are.
pub(super) fn cluster_name(name: &str) -> Result<(), String> {
    let is_word = (1..=32).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if is_word { Ok(()) } else { Err(format!("{name:?}: it must be 1 to 32 letters, digits, - or _")) }
}

/// A name as RFC 6455 has it: what stands in an answer must be one of those that a client offers, byte by byte.
pub(super) fn subprotocol(name: &str) -> Result<(), String> {
    if is_subprotocol(name) {
        return Ok(());
    }
    Err(format!("{name:?} is no name of a subprotocol: letters, digits and !#$%&'*+-.^_`|~"))
}

pub(super) fn log(log: &str) -> Result<(), String> {
    logs::filter(log).map(drop).map_err(|error| format!("{log:?} is not a level: {error}"))
}
