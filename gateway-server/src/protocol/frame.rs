//! Workerman's `frame` protocol: a `u32` big-endian length, which counts its own four bytes, and then the message.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::Violation;
use crate::system::memory_reserve;

/// The bytes of the length before a message.
pub(super) const HEADER: usize = 4;

/// Gives every whole message to `sink`, those begun in earlier input included. The part of the last one that is there stays in
/// `partial`.
pub(super) fn decode(
    input: &[u8],
    limit: usize,
    partial: &mut Vec<u8>,
    mut sink: impl FnMut(&[u8]),
) -> Result<(), Violation> {
    if partial.is_empty() {
        let used = messages(input, limit, &mut sink)?;
        memory_reserve::append(partial, &input[used..])?;
        return Ok(());
    }
    memory_reserve::append(partial, input)?;
    let used = messages(partial, limit, &mut sink)?;
    if used > 0 {
        // Usually little is left, and the copy takes no more memory than that.
        *partial = memory_reserve::copy(&partial[used..])?;
    }
    Ok(())
}

/// Gives the whole messages at the start of `buffer` to `sink`. Returns the number of bytes that they took.
fn messages(buffer: &[u8], limit: usize, sink: &mut impl FnMut(&[u8])) -> Result<usize, Violation> {
    let mut start = 0;
    while let Some(header) = buffer[start..].first_chunk::<HEADER>() {
        let total = u32::from_be_bytes(*header);
        let length = (total as usize).checked_sub(HEADER).ok_or(Violation::Length(total))?;
        if length > limit {
            return Err(Violation::TooBig { limit });
        }
        let Some(message) = buffer.get(start + HEADER..start + HEADER + length) else { break };
        sink(message);
        start += HEADER + length;
    }
    Ok(start)
}

/// Encodes a message as `frame`, `tcp` and `text` protocol at once. The three results share one buffer: the frame, the message in
/// it, and the message with a line feed.
pub(super) fn encode_with_line_feed(payload: &[u8]) -> (Bytes, Bytes, Bytes) {
    // The length fits into the header, as messages from PHP are bounded far below 4 GiB.
    let total = (HEADER + payload.len()) as u32;
    let mut bytes = BytesMut::with_capacity(HEADER + payload.len() + 1);
    bytes.put_u32(total);
    bytes.extend_from_slice(payload);
    bytes.put_u8(b'\n');
    let bytes = bytes.freeze();
    let end = bytes.len() - 1;
    (bytes.slice(..end), bytes.slice(HEADER..end), bytes.slice(HEADER..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(input: &[u8], size: usize, limit: usize) -> Result<Vec<Vec<u8>>, Violation> {
        let (mut partial, mut messages) = (Vec::new(), Vec::new());
        for piece in input.chunks(size) {
            decode(piece, limit, &mut partial, |message| messages.push(message.to_vec()))?;
        }
        Ok(messages)
    }

    #[test]
    fn messages_in_pieces_of_every_size() {
        let input = b"\0\0\0\x07one\0\0\0\x04\0\0\0\x08t\nwo\0\0\0\x06n";
        for size in 1..=input.len() {
            let messages = messages(input, size, 100).unwrap();
            assert_eq!(messages, [&b"one"[..], b"", b"t\nwo"], "{size}");
        }
    }

    #[test]
    fn nothing_is_kept_when_all_is_whole() {
        let mut partial = Vec::new();
        decode(b"\0\0\0\x05", 9, &mut partial, |_| {}).unwrap();
        decode(b"x", 9, &mut partial, |_| {}).unwrap();
        assert_eq!(partial.capacity(), 0);
    }

    #[test]
    fn lengths_are_not_believed() {
        for size in [1, 9] {
            assert_eq!(messages(b"\0\0\0\x0a", size, 5), Err(Violation::TooBig { limit: 5 }));
            assert_eq!(messages(&[0xff; 4], size, 5), Err(Violation::TooBig { limit: 5 }));
            assert_eq!(messages(b"\0\0\0\x03", size, 5), Err(Violation::Length(3)));
            assert_eq!(messages(&[0; 4], size, 5), Err(Violation::Length(0)));
            assert_eq!(messages(b"\0\0\0\x0912345", size, 5).unwrap(), [b"12345"]);
        }
    }

    #[test]
    fn forms_share_their_bytes() {
        let (frame, tcp, text) = encode_with_line_feed(b"hi");
        assert_eq!([&frame[..], &tcp, &text], [&b"\0\0\0\x06hi"[..], b"hi", b"hi\n"]);
    }
}
