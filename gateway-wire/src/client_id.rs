//! Client ids: the 20 hex digits that name one client connection anywhere in a cluster.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::excerpt;

/// A client id: the node that holds the connection, then the connection. As text it is PHP's
/// `bin2hex(pack('NnN', address, port, connection))`, GatewayWorker's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId {
    /// The address and port of the node that holds the connection. GatewayWorker's classes decode them to know where to send.
    pub node: SocketAddrV4,
    /// The connection at this node: a number, never 0, that nobody can foretell, and that the node issues again only after all others.
    pub connection: u32,
}

/// The error for a text that is no client id. It quotes the start of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client_id {0:?} is invalid: it must be 20 hexadecimal digits")]
pub struct MalformedClientId(String);

impl ClientId {
    /// Length of the binary form, in bytes.
    pub const BYTES: usize = 10;
    /// Length of the text form, in bytes.
    pub const HEX_DIGITS: usize = 2 * Self::BYTES;

    /// Makes the id of a connection at a node.
    pub fn new(node: SocketAddrV4, connection: u32) -> Self {
        Self { node, connection }
    }

    /// Reads the text form: exactly 20 hex digits. Upper-case digits are accepted too, as PHP's `hex2bin` accepts them.
    pub fn from_hex(hex: &[u8]) -> Result<Self, MalformedClientId> {
        let malformed = || MalformedClientId(excerpt(hex));
        if hex.len() != Self::HEX_DIGITS {
            return Err(malformed());
        }
        let mut bytes = [0; Self::BYTES];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let high = digit(pair[0]).ok_or_else(malformed)?;
            let low = digit(pair[1]).ok_or_else(malformed)?;
            *byte = high << 4 | low;
        }
        Ok(Self::from_bytes(bytes))
    }

    /// Makes the text form, in lower-case digits.
    pub fn to_hex(self) -> [u8; Self::HEX_DIGITS] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; Self::HEX_DIGITS];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.to_bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        hex
    }

    /// Reads the binary form, in which any bytes are an id.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [a, b, c, d, port_high, port_low, connection @ ..] = bytes;
        let port = u16::from_be_bytes([port_high, port_low]);
        Self::new(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port), u32::from_be_bytes(connection))
    }

    /// Makes the binary form: address, port and connection, each big-endian.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.node.ip().octets());
        bytes[4..6].copy_from_slice(&self.node.port().to_be_bytes());
        bytes[6..].copy_from_slice(&self.connection.to_be_bytes());
        bytes
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hex digits are text.
        f.write_str(std::str::from_utf8(&self.to_hex()).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for ClientId {
    type Err = MalformedClientId;

    fn from_str(hex: &str) -> Result<Self, MalformedClientId> {
        Self::from_hex(hex.as_bytes())
    }
}

impl Serialize for ClientId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&serde_bytes::Bytes>::deserialize(deserializer)?;
        let bytes: [u8; Self::BYTES] = bytes
            .as_ref()
            .try_into()
            .map_err(|_| de::Error::invalid_length(bytes.len(), &"the 10 bytes of a client id"))?;
        Ok(Self::from_bytes(bytes))
    }
}

fn digit(hex: u8) -> Option<u8> {
    match hex {
        b'0'..=b'9' => Some(hex - b'0'),
        b'a'..=b'f' => Some(hex - b'a' + 10),
        b'A'..=b'F' => Some(hex - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_layout_of_gatewayworker() {
        // PHP gives this id for bin2hex(pack('NnN', ip2long('127.0.0.1'), 2900, 1))
        let id = ClientId::new("127.0.0.1:2900".parse().unwrap(), 1);
        assert_eq!(id.to_string(), "7f0000010b5400000001");
        assert_eq!("7f0000010b5400000001".parse(), Ok(id));
        assert_eq!("7F0000010B5400000001".parse(), Ok(id));
    }

    #[test]
    fn refuses_what_is_not_20_hex_digits() {
        for wrong in [
            "",
            "7f",
            "7f0000010b540000000",
            "7f0000010b54000000011",
            "7g0000010b5400000001",
            "é".repeat(10).as_str(),
        ] {
            let error = wrong.parse::<ClientId>().unwrap_err();
            assert!(error.to_string().contains("is invalid"), "{error}");
        }
        assert!(ClientId::from_hex(&[0xff; 5000]).unwrap_err().to_string().len() < 1000);
    }
}
