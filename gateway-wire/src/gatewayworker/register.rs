//! Lines of the register protocol: one JSON object each, ended by a line feed.

use serde::{Deserialize, Serialize};

use super::command_json;
use crate::excerpt;

/// Longest line that a register takes, in bytes, line feed included.
pub const MAX_LINE: usize = 4 << 10;
/// Longest line that a register sends, in bytes, line feed included: it has room for the addresses of tens of thousands of gateways.
pub const MAX_ADDRESSES_LINE: usize = 1 << 20;

/// A line of either direction. The name of its variant is the JSON object's `event`; members that are not named here are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RegisterLine {
    /// A worker, or a PHP process that only gives orders, asks for the gateways' addresses.
    WorkerConnect {
        /// The secret that the register checks; empty when none is set.
        #[serde(default)]
        secret_key: String,
    },
    /// A gateway registers. Workers are told its address for as long as this connection lives.
    GatewayConnect {
        /// The address of the gateway's internal port, as `ip:port`.
        address: String,
        /// The secret that the register checks; empty when none is set.
        #[serde(default)]
        secret_key: String,
    },
    /// Keeps a connection alive. It is not answered.
    Ping,
    /// The register tells a worker all gateways, at first and again at every change.
    BroadcastAddresses {
        /// The addresses of the gateways' internal ports, as `ip:port`.
        #[serde(deserialize_with = "command_json::values")]
        addresses: Vec<String>,
        /// Whether the register is gateway-server, which speaks the bridge on this port too. A PHP process that speaks it should use
        /// it. GatewayWorker's classes ignore this member, and their register never sends it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        bridge: bool,
    },
}

/// The error for a line that is not understood, or longer than its reader takes. It quotes the start of the line, and never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line:?} is no line of the register protocol: {reason}")]
pub struct NotARegisterLine {
    line: String,
    reason: String,
}

/// Gives the length of the line at the start of `buffer`, line feed included, once the line is whole, and `None` before. A line of
/// more than `limit` bytes is an error.
pub fn line_length(buffer: &[u8], limit: usize) -> Result<Option<usize>, NotARegisterLine> {
    let within = &buffer[..buffer.len().min(limit)];
    match within.iter().position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some(end + 1)),
        None if buffer.len() < limit => Ok(None),
        None => Err(NotARegisterLine { line: excerpt(buffer), reason: format!("it has over {limit} bytes") }),
    }
}

impl RegisterLine {
    /// Reads a line, with or without its line feed. The error for a line that is refused quotes it only up to its secret.
    pub fn decode(line: &[u8]) -> Result<Self, NotARegisterLine> {
        serde_json::from_slice(line).map_err(|error| NotARegisterLine {
            line: match line.windows(SECRET.len()).position(|at| at == SECRET) {
                Some(at) => format!("{}…", excerpt(&line[..at])),
                None => excerpt(line.trim_ascii_end()),
            },
            // Serde's own text quotes a value of the wrong type, and that may be the secret too.
            reason: format!("{:?} error at column {}", error.classify(), error.column()),
        })
    }

    /// Appends the line with its line feed.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if let Err(error) = serde_json::to_writer(&mut *out, self) {
            unreachable!("writing plain strings into memory: {error}");
        }
        out.push(b'\n');
    }
}

/// The first mention of this ends what is quoted of a line.
const SECRET: &[u8] = b"secret";

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> [(RegisterLine, &'static str); 5] {
        [
            (
                RegisterLine::WorkerConnect { secret_key: "s".to_owned() },
                r#"{"event":"worker_connect","secret_key":"s"}"#,
            ),
            (
                RegisterLine::GatewayConnect {
                    address: "10.0.0.1:2900".to_owned(),
                    secret_key: String::new(),
                },
                r#"{"event":"gateway_connect","address":"10.0.0.1:2900","secret_key":""}"#,
            ),
            (RegisterLine::Ping, r#"{"event":"ping"}"#),
            (
                RegisterLine::BroadcastAddresses {
                    addresses: vec!["127.0.0.1:2900".to_owned(), "127.0.0.1:2901".to_owned()],
                    bridge: false,
                },
                r#"{"event":"broadcast_addresses","addresses":["127.0.0.1:2900","127.0.0.1:2901"]}"#,
            ),
            (
                RegisterLine::BroadcastAddresses { addresses: Vec::new(), bridge: true },
                r#"{"event":"broadcast_addresses","addresses":[],"bridge":true}"#,
            ),
        ]
    }

    #[test]
    fn are_those_of_gatewayworker() {
        for (line, text) in lines() {
            let mut bytes = Vec::new();
            line.encode(&mut bytes);
            assert_eq!(bytes, format!("{text}\n").as_bytes());
            assert_eq!(RegisterLine::decode(&bytes), Ok(line));
        }
        // PHP's classes write lines with blanks, without a secret, and with an object where duplicates have gone.
        let gateway = br#"{"event":"gateway_connect", "address":"a:1", "secret_key":""}"#;
        RegisterLine::decode(gateway).unwrap();
        assert_eq!(
            RegisterLine::decode(b"{\"event\":\"worker_connect\",\"new\":[1]}\r\n"),
            Ok(RegisterLine::WorkerConnect { secret_key: String::new() })
        );
        assert_eq!(
            RegisterLine::decode(br#"{"event":"broadcast_addresses","addresses":{"0":"a:1","2":"b:2"}}"#),
            Ok(RegisterLine::BroadcastAddresses {
                addresses: vec!["a:1".to_owned(), "b:2".to_owned()],
                bridge: false
            })
        );
    }

    #[test]
    fn are_found_only_when_whole() {
        let bytes = b"{\"event\":\"ping\"}\n{";
        for end in 0..bytes.len() - 2 {
            assert_eq!(line_length(&bytes[..end], 100), Ok(None));
        }
        assert_eq!(line_length(bytes, 100), Ok(Some(17)));
        line_length(&[b'x'; 100], 100).unwrap_err();
    }

    #[test]
    fn what_is_refused_is_quoted_without_its_secret() {
        for wrong in ["", "{", "[]", r#"{"event":"shutdown"}"#, r#"{"event":"gateway_connect"}"#, "\u{0}"] {
            RegisterLine::decode(wrong.as_bytes()).unwrap_err();
        }
        for line in [
            r#"{"event":"worker_connect","secret_key":["geheim"]}"#,
            r#"{"secret_key":"geheim","event":"shutdown"}"#,
        ] {
            let error = RegisterLine::decode(line.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("geheim"), "{error}");
        }
        let nested = format!(r#"{{"event":"ping","x":{}"#, "[".repeat(100_000));
        RegisterLine::decode(nested.as_bytes()).unwrap_err();
    }
}
