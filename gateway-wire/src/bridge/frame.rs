//! Frames: a `u32` big-endian length, then that many bytes. The length is bounded before it is believed.

/// Largest content of a frame from PHP, in bytes: one call with its message (16 MiB).
pub const MAX_CALL: usize = 16 << 20;
/// Largest content of a frame to PHP, in bytes (256 MiB): lists of a million clients fit.
pub const MAX_REPLY: usize = 256 << 20;
/// Largest content of a frame, in bytes, from a peer that has not proved yet that it knows the secret (1 KiB). A worker's own frames
/// stay under it after its login too.
pub const MAX_LOGIN: usize = 1 << 10;

/// Length of a frame's header, in bytes. The header is the length of the content alone, without these bytes.
pub const HEADER: usize = 4;

/// The error for a frame that is longer than its reader or writer allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes is over the limit of {limit}")]
pub struct FrameTooLarge {
    /// Length of the frame's content, in bytes: what its header claims, or what would have been written.
    pub length: usize,
    /// Longest content that was allowed, in bytes.
    pub limit: usize,
}

/// Gives the length of the content of the frame at the start of `buffer`, once the frame is whole, and `None` before. The content
/// stands behind [`HEADER`] bytes. A frame that claims more than `limit` bytes is an error as soon as its header is there.
pub fn content_length(buffer: &[u8], limit: usize) -> Result<Option<usize>, FrameTooLarge> {
    let length = claimed_length(buffer, limit)?;
    Ok(length.filter(|length| buffer.len() - HEADER >= *length))
}

/// Gives the length that the frame at the start of `buffer` claims for its content, whether the frame is whole or not; `None` while
/// the header is not whole. A length over `limit` is an error.
pub fn claimed_length(buffer: &[u8], limit: usize) -> Result<Option<usize>, FrameTooLarge> {
    let Some(header) = buffer.first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes(*header) as usize;
    if length > limit {
        return Err(FrameTooLarge { length, limit });
    }
    Ok(Some(length))
}

/// Gives the length of all whole frames at the start of `buffer` together, headers included. A frame over `limit` ends them, and is
/// an error only when it stands first, so that the good frames before it are still carried out.
pub fn whole_length(buffer: &[u8], limit: usize) -> Result<usize, FrameTooLarge> {
    let mut length = 0;
    loop {
        match content_length(&buffer[length..], limit) {
            Ok(Some(content)) => length += HEADER + content,
            Err(error) if length == 0 => return Err(error),
            Ok(None) | Err(_) => return Ok(length),
        }
    }
}

/// Iterates over the contents of the frames in `frames`, which [`whole_length`] has measured. A frame that is not whole ends it.
pub fn contents(mut frames: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = content_length(frames, usize::MAX).ok().flatten()?;
        let (frame, rest) = frames.split_at(HEADER + length);
        frames = rest;
        Some(&frame[HEADER..])
    })
}

/// Appends a frame whose content `write` appends. A content over `limit` bytes is an error, and leaves `out` as it was.
pub(super) fn append(
    out: &mut Vec<u8>,
    limit: usize,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), FrameTooLarge> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    write(out);
    let length = out.len() - start - HEADER;
    if length > limit {
        out.truncate(start);
        return Err(FrameTooLarge { length, limit });
    }
    let header = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    out[start..start + HEADER].copy_from_slice(&header);
    Ok(())
}

/// Appends a value as msgpack. Writing the plain types of this crate into memory cannot fail.
pub(super) fn write_msgpack(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    if let Err(error) = rmp_serde::encode::write(out, value) {
        unreachable!("serializing plain values into memory: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_only_when_whole() {
        let mut bytes = Vec::new();
        append(&mut bytes, 100, |out| out.extend_from_slice(b"content")).unwrap();
        bytes.extend_from_slice(b"the next");
        for end in 0..HEADER + 7 {
            assert_eq!(content_length(&bytes[..end], 100), Ok(None), "{end} bytes");
        }
        assert_eq!(content_length(&bytes, 100), Ok(Some(7)));
    }

    #[test]
    fn is_refused_by_its_length_alone() {
        let lie = u32::MAX.to_be_bytes();
        assert_eq!(content_length(&lie, 100), Err(FrameTooLarge { length: u32::MAX as usize, limit: 100 }));
    }

    #[test]
    fn many_are_found_up_to_one_that_is_not_whole_or_too_large() {
        let mut bytes = Vec::new();
        let content = [&b"one"[..], b"", b"three"];
        for content in content {
            append(&mut bytes, 100, |out| out.extend_from_slice(content)).unwrap();
        }
        let whole = bytes.len();
        for rest in [&b""[..], &[0, 0, 0, 9, 1], &[0xff; 4]] {
            let buffer = [&bytes, rest].concat();
            assert_eq!(whole_length(&buffer, 100), Ok(whole));
            assert_eq!(contents(&buffer[..whole]).collect::<Vec<_>>(), content);
        }
        assert_eq!(whole_length(&[0, 0], 100), Ok(0));
        whole_length(&[0xff; 4], 100).unwrap_err();
    }

    #[test]
    fn too_large_leaves_the_output_as_it_was() {
        let mut bytes = b"before".to_vec();
        append(&mut bytes, 3, |out| out.extend_from_slice(b"four")).unwrap_err();
        assert_eq!(bytes, b"before");
    }
}
