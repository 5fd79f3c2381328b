//! Replies of the internal protocol: a `u32` big-endian length, then that many bytes of PHP's `serialize()`.
//!
//! [`PhpValue::parse`](crate::php_serialize::PhpValue::parse) reads a reply's content.

use super::packet::PacketError;
use crate::php_serialize::Writer;

/// Length of a reply's header, in bytes. The header is the length of the content alone, without these bytes.
pub const HEADER: usize = 4;
/// Largest content of a reply, in bytes (256 MiB): lists of a million clients fit.
pub const MAX_REPLY: usize = 256 << 20;

/// Gives the length of the content of the reply at the start of `buffer`, once the reply is whole, and `None` before. The content
/// stands behind [`HEADER`] bytes. A reply that claims more than `limit` bytes is an error as soon as its header is there.
pub fn content_length(buffer: &[u8], limit: usize) -> Result<Option<usize>, PacketError> {
    let Some(length) = buffer.first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > limit {
        return Err(PacketError::TooLarge { length, limit });
    }
    Ok((buffer.len() - HEADER >= length).then_some(length))
}

/// Appends a reply whose content `write` appends. A content over [`MAX_REPLY`] bytes is an error, and leaves `out` as it was.
pub fn append(out: &mut Vec<u8>, write: impl FnOnce(&mut Writer)) -> Result<(), PacketError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    write(&mut Writer::new(out));
    let length = out.len() - start - HEADER;
    if length > MAX_REPLY {
        out.truncate(start);
        return Err(PacketError::TooLarge { length, limit: MAX_REPLY });
    }
    out[start..start + HEADER].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_only_when_whole() {
        let mut bytes = Vec::new();
        append(&mut bytes, |writer| writer.int(42)).unwrap();
        append(&mut bytes, |writer| writer.null()).unwrap();
        assert_eq!(bytes, b"\0\0\0\x05i:42;\0\0\0\x02N;");
        for end in 0..9 {
            assert_eq!(content_length(&bytes[..end], MAX_REPLY), Ok(None));
        }
        assert_eq!(content_length(&bytes, MAX_REPLY), Ok(Some(5)));
        content_length(&[0xff; 4], MAX_REPLY).unwrap_err();
    }
}
