//! Lines of the register protocol.

use serde::{Deserialize, Serialize};

use super::command_json;
use crate::excerpt;

/// Longest line that a register takes.
pub const MAX_LINE: usize = 4 << 10;
/// Longest line that a register sends: the addresses of tens of thousands of gateways.
pub const MAX_ADDRESSES_LINE: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RegisterLine {
    /// From a worker, or from a client that is gone once it has the addresses.
    WorkerConnect {
        #[serde(default)]
        secret_key: String,
    },
    /// From a gateway, which is told to workers for as long as it stays.
    GatewayConnect {
        /// `ip:port` of its internal port.
        address: String,
        #[serde(default)]
        secret_key: String,
    },
    Ping,
    /// To workers: all gateways.
    BroadcastAddresses {
        #[serde(deserialize_with = "command_json::values")]
        addresses: Vec<String>,
        /// Our server says so, which PHP's classes overlook: whoever can should speak the bridge with it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        bridge: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line:?} is no line of the register protocol: {reason}")]
pub struct NotARegisterLine {
    line: String,
    reason: String,
}

/// Finds the line at the start of `buffer`: `None` while it is not whole, else its length, line feed included.
pub fn line_length(buffer: &[u8], limit: usize) -> Result<Option<usize>, NotARegisterLine> {
    let within = &buffer[..buffer.len().min(limit)];
    match within.iter().position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some(end + 1)),
        None if buffer.len() < limit => Ok(None),
        None => Err(NotARegisterLine { line: excerpt(buffer), reason: format!("it has over {limit} bytes") }),
    }
}

impl RegisterLine {
    /// Reads a line, with or without its line feed. The secret of a line that is refused is not quoted.
    pub fn decode(line: &[u8]) -> Result<Self, NotARegisterLine> {
        serde_json::from_slice(line).map_err(|error| NotARegisterLine {
            line: match line.windows(SECRET.len()).position(|at| at == SECRET) {
                Some(at) => format!("{}…", excerpt(&line[..at])),
                None => excerpt(line.trim_ascii_end()),
            },
            // Serde quotes a value of the wrong type; that may be the secret too.
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
        // As its PHP classes write them: blanks, no secret, an object where duplicates have gone.
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
