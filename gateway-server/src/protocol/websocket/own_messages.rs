//! Reads the messages that the server itself has encoded, to send them again.

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress};

use super::deflate::TAIL;
use super::encode::{COMPRESSED, FINAL, frame};

/// The frames of messages that were encoded for a client and joined, one by one. Each message is one frame without a mask. With
/// `may_be_deflated` they are those that were sent, else the compressed ones are inflated and encoded again.
pub fn own_messages(mut joined: Bytes, may_be_deflated: bool) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let header = header(&joined)?;
        let message = joined.split_to((header.length + header.payload).min(joined.len()));
        if may_be_deflated || message[0] & COMPRESSED == 0 {
            return Some(message);
        }
        let payload = inflate(&message[header.length..]);
        Some(frame(message[0] & !(FINAL | COMPRESSED), &payload))
    })
}

/// The header of a frame of the server.
struct Header {
    /// The length of the header, in bytes.
    length: usize,
    /// The length of the payload, in bytes.
    payload: usize,
}

fn header(frame: &[u8]) -> Option<Header> {
    Some(match frame.get(1)? {
        126 => Header { length: 4, payload: u16::from_be_bytes(*frame.get(2..)?.first_chunk()?).into() },
        127 => Header { length: 10, payload: u64::from_be_bytes(*frame.get(2..)?.first_chunk()?) as usize },
        short => Header { length: 2, payload: usize::from(*short) },
    })
}

fn inflate(compressed: &[u8]) -> Vec<u8> {
    let mut decompress = Decompress::new(false);
    let mut out = Vec::with_capacity(4 * compressed.len());
    for input in [compressed, &TAIL] {
        let end = decompress.total_in() + input.len() as u64;
        while decompress.total_in() < end {
            let rest = &input[input.len() - (end - decompress.total_in()) as usize..];
            let before = decompress.total_in() + decompress.total_out();
            out.reserve(rest.len().max(4 << 10));
            // The server has compressed these bytes itself, so they cannot be wrong; if they were, the message would end here.
            let result = decompress.decompress_vec(rest, &mut out, FlushDecompress::Sync);
            if result.is_err() || decompress.total_in() + decompress.total_out() == before {
                return out;
            }
        }
    }
    // The output may have filled the room exactly when the input ended.
    while out.len() == out.capacity() {
        let before = out.len();
        out.reserve(4 << 10);
        if decompress.decompress_vec(&[], &mut out, FlushDecompress::Sync).is_err() || out.len() == before {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{MessageKind, deflated_message, message};
    use super::*;

    #[test]
    fn joined_messages_come_out_one_by_one_and_plain_where_they_have_to() {
        let texts: Vec<_> = [0, 1, 125, 126, 4096, 5000, 65_535, 65_536, 300_000]
            .map(|length: usize| (0..length).map(|at| b"abcdefg "[at * at / 7 % 8]).collect::<Vec<u8>>())
            .into();
        let plain: Vec<_> = texts.iter().map(|text| message(MessageKind::Text, text)).collect();
        let sent: Vec<_> = texts
            .iter()
            .zip(&plain)
            .map(|(text, plain)| deflated_message(MessageKind::Text, text).unwrap_or(plain.clone()))
            .collect();
        assert!(sent.concat().len() < plain.concat().len() / 2);
        let joined = || Bytes::from(sent.concat());
        assert_eq!(own_messages(joined(), true).collect::<Vec<_>>(), sent);
        assert!(own_messages(joined(), false).eq(plain));
        assert_eq!(own_messages(Bytes::new(), true).count(), 0);
    }
}
