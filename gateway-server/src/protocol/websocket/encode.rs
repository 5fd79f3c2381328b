//! Encodes frames to a client.

use bytes::{BufMut, Bytes, BytesMut};

use super::{MessageKind, deflate};
use crate::protocol::close::Close;

pub(super) const FINAL: u8 = 0x80;
pub(super) const COMPRESSED: u8 = 0x40;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The longest payload of a control frame, in bytes.
const MAX_CONTROL: usize = 125;

pub fn message(kind: MessageKind, payload: &[u8]) -> Bytes {
    frame(opcode(kind), payload)
}

/// A compressed message, or `None` if compression makes it no shorter.
pub fn deflated_message(kind: MessageKind, payload: &[u8]) -> Option<Bytes> {
    let deflated = deflate::deflate(payload)?;
    Some(frame(COMPRESSED | opcode(kind), &deflated))
}

fn opcode(kind: MessageKind) -> u8 {
    if kind == MessageKind::Text { TEXT } else { BINARY }
}

pub fn ping() -> Bytes {
    Bytes::from_static(&[FINAL | PING, 0])
}

/// A pong with the payload of the ping that it answers. The decoder has checked that the payload is no longer than a control
/// frame's.
pub fn pong(payload: &[u8]) -> Bytes {
    frame(PONG, payload)
}

pub fn close(close: Close) -> Bytes {
    let mut payload = [0; MAX_CONTROL];
    let reason = close.reason.as_bytes();
    let length = reason.len().min(MAX_CONTROL - 2);
    payload[..2].copy_from_slice(&close.code.to_be_bytes());
    payload[2..2 + length].copy_from_slice(&reason[..length]);
    frame(CLOSE, &payload[..2 + length])
}

/// A frame. `first` is the opcode together with the RSV bits that the payload needs.
pub(super) fn frame(first: u8, payload: &[u8]) -> Bytes {
    let header = match payload.len() {
        ..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    // The capacity is exact, as spare bytes would be kept as long as the frame.
    let mut out = BytesMut::with_capacity(header + payload.len());
    out.put_u8(FINAL | first);
    match payload.len() {
        length @ 0..=125 => out.put_u8(length as u8),
        length @ 126..=0xffff => {
            out.put_u8(126);
            out.put_u16(length as u16);
        }
        length => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
    out.extend_from_slice(payload);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::close;

    #[test]
    fn lengths_take_the_shortest_form() {
        for (length, header) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xff, 0xff]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = message(MessageKind::Text, &vec![b'x'; length]);
            assert_eq!(frame[..header.len()], header);
            assert_eq!(frame.len(), header.len() + length);
        }
    }

    #[test]
    fn close_carries_code_and_reason() {
        assert_eq!(&super::close(close::NOT_UTF8)[..], b"\x88\x0b\x03\xefnot UTF-8");
    }
}
