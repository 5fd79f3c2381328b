//! What the texts of settings mean. An error says what a text has to be.

use std::time::Duration;

use gateway_link::GatewayProtocol;

use crate::alias_list::{self, AliasList};

/// How a failure is raised when the gateway cannot be reached or does not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnError {
    Exception,
    Warning,
    /// Nothing is raised, and only `Gateway::lastError()` tells.
    Silent,
}

pub(super) fn connect_timeout(text: &[u8]) -> Result<f64, String> {
    seconds(text).filter(|seconds| *seconds > 0.0).ok_or_else(|| "a number of seconds above 0".to_owned())
}

pub(super) fn flush_timeout(text: &[u8]) -> Result<f64, String> {
    seconds(text).filter(|seconds| *seconds >= 0.0).ok_or_else(|| "a number of seconds".to_owned())
}

pub(super) fn on_error(text: &[u8]) -> Result<OnError, String> {
    match text.to_ascii_lowercase().as_slice() {
        b"exception" => Ok(OnError::Exception),
        b"warning" => Ok(OnError::Warning),
        b"silent" => Ok(OnError::Silent),
        _ => Err("exception, warning or silent".to_owned()),
    }
}

pub(super) fn protocol(text: &[u8]) -> Result<GatewayProtocol, String> {
    match text.to_ascii_lowercase().as_slice() {
        b"auto" => Ok(GatewayProtocol::Auto),
        b"bridge" => Ok(GatewayProtocol::Bridge),
        b"gatewayworker" => Ok(GatewayProtocol::GatewayWorker),
        _ => Err("auto, bridge or gatewayworker".to_owned()),
    }
}

pub(super) fn buffer_bytes(text: &[u8]) -> Result<usize, String> {
    let expected = || "a number of bytes above 0, such as 16777216 or 16M".to_owned();
    bytes(text).filter(|bytes| *bytes > 0).ok_or_else(expected)
}

pub(super) fn aliases(text: &[u8]) -> Result<AliasList, String> {
    alias_list::parse(text).map_err(|reason| {
        format!("0, 1, or names of classes, and eager to declare them when PHP starts: {reason}")
    })
}

/// Makes a duration of at most a year, which is longer than any program waits and overflows no clock.
pub(crate) fn duration(seconds: f64) -> Duration {
    const YEAR: f64 = 365.0 * 24.0 * 3600.0;
    Duration::from_secs_f64(seconds.clamp(0.0, YEAR))
}

fn seconds(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.trim().parse::<f64>().ok().filter(|seconds| seconds.is_finite())
}

/// Parses a number of bytes, with PHP's shorthands K, M and G.
pub(super) fn bytes(text: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (digits, shift) = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (&text[..text.len() - 1], 10),
        b'm' => (&text[..text.len() - 1], 20),
        b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.trim_end().parse::<usize>().ok()?.checked_mul(1 << shift)
}
