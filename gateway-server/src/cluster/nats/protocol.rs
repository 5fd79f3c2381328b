//! The text protocol of NATS: <https://docs.nats.io/reference/reference-protocols/nats-protocol>.

use bytes::{Buf as _, Bytes, BytesMut};
use serde::Deserialize;

/// Bytes of the longest line. The lines that list a cluster's addresses are the longest.
const MAX_LINE: usize = 64 << 10;
const END: &[u8] = b"\r\n";

/// A message of the server.
#[derive(Debug)]
pub enum Op {
    /// The server describes itself.
    Info(Box<Info>),
    /// The payload of a published message.
    Message(Bytes),
    Ping,
    Pong,
    /// The server reports an error, in its own words.
    Error(String),
    /// The line asks for nothing, such as `+OK`.
    Nothing,
}

/// The server's description of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Info {
    #[serde(default)]
    pub server_id: String,
    #[serde(default)]
    pub version: String,
    /// Whether the server keeps streams.
    #[serde(default)]
    pub jetstream: bool,
    /// Bytes of the longest payload that the server takes.
    pub max_payload: usize,
    #[serde(default)]
    pub tls_required: bool,
    /// The nonce that a client that logs in with a key has to sign.
    #[serde(default)]
    pub nonce: String,
    /// True when the server will end, so that clients should go to others.
    #[serde(default, rename = "ldm")]
    pub is_leaving: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer does not speak NATS: {0}")]
pub struct Malformed(String);

/// Takes the next complete message off `input`. Gives `None` while none is complete.
pub fn decode(input: &mut BytesMut, max_payload: usize) -> Result<Option<Op>, Malformed> {
    let Some(length) = memchr::memmem::find(input, END) else {
        return if input.len() > MAX_LINE { Err(malformed("a line is too long", input)) } else { Ok(None) };
    };
    let line = &input[..length];
    let word = line.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
    let op = match word {
        b"MSG" => {
            let size = line.rsplit(|byte| *byte == b' ').next().and_then(number);
            let Some(size) = size.filter(|size| *size <= max_payload) else {
                return Err(malformed("a message of no possible length", line));
            };
            let whole = length + END.len() + size + END.len();
            if input.len() < whole {
                return Ok(None);
            }
            input.advance(length + END.len());
            let payload = input.split_to(size).freeze();
            if &input[..END.len()] != END {
                return Err(malformed("a message of another length than it says", input));
            }
            input.advance(END.len());
            return Ok(Some(Op::Message(payload)));
        }
        b"INFO" => {
            let info = serde_json::from_slice(&line[word.len()..]);
            Op::Info(Box::new(info.map_err(|error| Malformed(format!("its INFO: {error}")))?))
        }
        b"PING" => Op::Ping,
        b"PONG" => Op::Pong,
        b"+OK" => Op::Nothing,
        b"-ERR" => {
            let text = String::from_utf8_lossy(&line[word.len()..]);
            Op::Error(text.trim().trim_matches('\'').to_owned())
        }
        _ => return Err(malformed("it says", line)),
    };
    input.advance(length + END.len());
    Ok(Some(op))
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn malformed(what: &str, bytes: &[u8]) -> Malformed {
    Malformed(format!("{what} {:?}", gateway_wire::excerpt(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &[u8] = b"INFO {\"server_id\":\"x\",\"max_payload\":1048576,\"more\":[1]} \r\n+OK\r\nPING\r\n\
        MSG gw.c.all s 5\r\na\r\nbc\r\nMSG gw.c.all s reply 0\r\n\r\nPONG\r\n-ERR 'Authorization Violation'\r\n";

    fn all(input: &mut BytesMut, found: &mut Vec<String>) {
        while let Some(op) = decode(input, 100).unwrap() {
            found.push(match op {
                Op::Info(info) => format!("info {}", info.max_payload),
                other => format!("{other:?}"),
            });
        }
    }

    #[test]
    fn byte_by_byte_or_at_once() {
        let mut found = (Vec::new(), Vec::new());
        all(&mut BytesMut::from(SAID), &mut found.0);
        let mut input = BytesMut::new();
        for byte in SAID {
            input.extend_from_slice(&[*byte]);
            all(&mut input, &mut found.1);
        }
        assert_eq!(found.0, found.1);
        let expected = [
            "info 1048576",
            "Nothing",
            "Ping",
            "Message(b\"a\\r\\nbc\")",
            "Message(b\"\")",
            "Pong",
            "Error(\"Authorization Violation\")",
        ];
        assert_eq!(found.0, expected);
    }

    #[test]
    fn what_is_no_nats_is_refused() {
        for wrong in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"MSG a b 101\r\n",
            b"MSG a b -1\r\n",
            b"MSG a b 3\r\nabcde\r\n",
            b"INFO {}\r\n",
            b"\r\n",
            &[b'x'; MAX_LINE + 1],
        ] {
            decode(&mut BytesMut::from(wrong), 100).unwrap_err();
        }
    }
}
