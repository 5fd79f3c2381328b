//! Packets of the internal protocol: a header of 28 bytes, extension data, a body.
//!
//! All numbers are big-endian: `u32` length of the whole packet, `u8` command, `u32` and `u16` address of the gateway, `u32` and `u16`
//! address of the client, `u32` connection, `u8` flags, `u16` port for clients, `u32` length of the extension data.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Length of a packet's header, in bytes.
pub const HEADER: usize = 28;
/// Longest packet, in bytes, its header included. It is below 2²⁴, so that a packet's first byte is always 0 and tells the protocol.
pub const MAX_PACKET: usize = (16 << 20) - 1;

/// Bits of [`Packet::flags`].
pub mod flag {
    /// The body is bytes as they are; without this bit it is a value as PHP's `serialize()` writes it.
    pub const SCALAR: u8 = 1;
    /// The message goes to clients as it is, without the client protocol's framing.
    pub const RAW: u8 = 2;
}

/// A packet of either direction. A command that needs no client leaves the addresses 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The number of the command or event.
    pub command: u8,
    /// The internal address of the gateway, as client ids name it.
    pub node: SocketAddrV4,
    /// The client's own address.
    pub client: SocketAddrV4,
    /// The client's connection: the last 32 bits of its client id.
    pub connection: u32,
    /// The bits of [`flag`].
    pub flags: u8,
    /// The port of the gateway to which the client is connected.
    pub gateway_port: u16,
    /// The extension data: names, JSON or a session, depending on the command.
    pub extension: &'a [u8],
    /// The body: a message or credentials, depending on the command.
    pub body: &'a [u8],
}

/// Why bytes are no packet, or a packet or reply cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// The packet or reply is longer than its reader or writer allows.
    #[error("a packet of {length} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its length, in bytes: what its first four bytes claim, or what would have been written.
        length: usize,
        /// The longest that was allowed, in bytes.
        limit: usize,
    },
    /// The packet claims this length, in bytes, which is shorter than a header.
    #[error("a packet says that it has {0} bytes, less than its header of {HEADER}")]
    TooShort(usize),
    /// The extension data claims this length, in bytes, which is longer than the rest of the packet.
    #[error("a packet says that it has {0} bytes of extension data, more than it has room for")]
    ExtensionTooLong(usize),
}

/// Gives the length of the packet at the start of `buffer`, header included, once the packet is whole, and `None` before. A packet that
/// claims more than `limit` bytes, or fewer than a header has, is an error as soon as its first four bytes are there.
pub fn packet_length(buffer: &[u8], limit: usize) -> Result<Option<usize>, PacketError> {
    let Some(length) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    match length {
        0..HEADER => Err(PacketError::TooShort(length)),
        _ if length > limit => Err(PacketError::TooLarge { length, limit }),
        _ => Ok((buffer.len() >= length).then_some(length)),
    }
}

impl<'a> Packet<'a> {
    /// Makes a packet that names no client, with an empty scalar as its body.
    pub fn new(command: u8) -> Self {
        const NOBODY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        Self {
            command,
            node: NOBODY,
            client: NOBODY,
            connection: 0,
            flags: flag::SCALAR,
            gateway_port: 0,
            extension: &[],
            body: &[],
        }
    }

    /// Reads a whole packet, whose length [`packet_length`] has given. Its first four bytes are not read again.
    pub fn decode(packet: &'a [u8]) -> Result<Self, PacketError> {
        let (header, rest) =
            packet.split_first_chunk::<HEADER>().ok_or(PacketError::TooShort(packet.len()))?;
        let [_, _, _, _, command, middle @ .., e0, e1, e2, e3] = *header;
        let [n0, n1, n2, n3, n4, n5, c0, c1, c2, c3, c4, c5, i0, i1, i2, i3, flags, g0, g1] = middle;
        let extension = u32::from_be_bytes([e0, e1, e2, e3]) as usize;
        let (extension, body) =
            rest.split_at_checked(extension).ok_or(PacketError::ExtensionTooLong(extension))?;
        Ok(Self {
            command,
            node: address([n0, n1, n2, n3, n4, n5]),
            client: address([c0, c1, c2, c3, c4, c5]),
            connection: u32::from_be_bytes([i0, i1, i2, i3]),
            flags,
            gateway_port: u16::from_be_bytes([g0, g1]),
            extension,
            body,
        })
    }

    /// Appends the packet. Over [`MAX_PACKET`] bytes it is an error, and `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), PacketError> {
        let length = HEADER + self.extension.len() + self.body.len();
        if length > MAX_PACKET {
            return Err(PacketError::TooLarge { length, limit: MAX_PACKET });
        }
        out.reserve(length);
        out.extend_from_slice(&(length as u32).to_be_bytes());
        out.push(self.command);
        for address in [self.node, self.client] {
            out.extend_from_slice(&address.ip().octets());
            out.extend_from_slice(&address.port().to_be_bytes());
        }
        out.extend_from_slice(&self.connection.to_be_bytes());
        out.push(self.flags);
        out.extend_from_slice(&self.gateway_port.to_be_bytes());
        out.extend_from_slice(&(self.extension.len() as u32).to_be_bytes());
        out.extend_from_slice(self.extension);
        out.extend_from_slice(self.body);
        Ok(())
    }

    /// Makes the same packet with another body, which is a scalar.
    #[must_use]
    pub fn with_scalar(&self, body: &'a [u8]) -> Self {
        Self { body, flags: self.flags | flag::SCALAR, ..*self }
    }

    pub(super) fn is_scalar(&self) -> bool {
        self.flags & flag::SCALAR != 0
    }

    pub(super) fn is_raw(&self) -> bool {
        self.flags & flag::RAW != 0
    }
}

fn address([a, b, c, d, high, low]: [u8; 6]) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PHP's pack('NCNnNnNCnN', 36, 5, ip2long('127.0.0.1'), 2900, ip2long('10.1.2.3'), 50000, 7, 1, 8282, 3) . 'ext' . 'hello'
    const BYTES: &[u8] =
        b"\0\0\0\x24\x05\x7f\0\0\x01\x0b\x54\x0a\x01\x02\x03\xc3\x50\0\0\0\x07\x01\x20\x5a\0\0\0\x03exthello";

    fn packet() -> Packet<'static> {
        Packet {
            command: 5,
            node: "127.0.0.1:2900".parse().unwrap(),
            client: "10.1.2.3:50000".parse().unwrap(),
            connection: 7,
            flags: flag::SCALAR,
            gateway_port: 8282,
            extension: b"ext",
            body: b"hello",
        }
    }

    #[test]
    fn has_the_layout_of_gatewayworker() {
        let mut bytes = b"before".to_vec();
        packet().encode(&mut bytes).unwrap();
        assert_eq!(bytes, [b"before", BYTES].concat());
        assert_eq!(Packet::decode(BYTES), Ok(packet()));
    }

    #[test]
    fn is_found_only_when_whole() {
        let bytes = [BYTES, b"the next"].concat();
        for end in 0..BYTES.len() {
            assert_eq!(packet_length(&bytes[..end], MAX_PACKET), Ok(None), "{end} bytes");
        }
        assert_eq!(packet_length(&bytes, MAX_PACKET), Ok(Some(BYTES.len())));
    }

    #[test]
    fn lengths_are_not_believed() {
        assert_eq!(packet_length(&[0, 0, 0, 27], 100), Err(PacketError::TooShort(27)));
        assert_eq!(packet_length(&[0; 4], 100), Err(PacketError::TooShort(0)));
        let too_large = PacketError::TooLarge { length: u32::MAX as usize, limit: 100 };
        assert_eq!(packet_length(&[0xff; 4], 100), Err(too_large));
        let mut lie = BYTES.to_vec();
        lie[27] = 9;
        assert_eq!(Packet::decode(&lie), Err(PacketError::ExtensionTooLong(9)));
        assert_eq!(Packet::decode(&BYTES[..27]), Err(PacketError::TooShort(27)));
    }

    #[test]
    fn too_large_leaves_the_output_as_it_was() {
        let body = vec![0; MAX_PACKET - HEADER - 2];
        let mut out = b"before".to_vec();
        Packet { body: &body, ..packet() }.encode(&mut out).unwrap_err();
        assert_eq!(out, b"before");
        Packet { body: &body[1..], ..packet() }.encode(&mut out).unwrap();
        assert_eq!(out[6], 0);
    }
}
