//! Workerman's `text` protocol: each message is a line.

use super::Violation;
use crate::system::memory_reserve;

/// Gives every whole line to `sink`, without its end; the part of the last one that is there stays in `partial`. Each byte is
/// looked at once, so small pieces of input cost no more than large ones.
pub(super) fn decode(
    input: &[u8],
    limit: usize,
    partial: &mut Vec<u8>,
    mut sink: impl FnMut(&[u8]),
) -> Result<(), Violation> {
    let mut rest = input;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..end];
        if partial.len() + line.len() > limit {
            return Err(Violation::TooBig { limit });
        }
        if partial.is_empty() {
            sink(without_end(line));
        } else {
            memory_reserve::append(partial, line)?;
            sink(without_end(partial));
            *partial = Vec::new();
        }
        rest = &rest[end + 1..];
    }
    if partial.len() + rest.len() > limit {
        return Err(Violation::TooBig { limit });
    }
    memory_reserve::append(partial, rest)?;
    Ok(())
}

/// Removes all carriage returns from the end of the line, as Workerman does.
fn without_end(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8], size: usize, limit: usize) -> Result<Vec<String>, Violation> {
        let (mut partial, mut lines) = (Vec::new(), Vec::new());
        for piece in input.chunks(size) {
            decode(piece, limit, &mut partial, |line| lines.push(String::from_utf8_lossy(line).into()))?;
        }
        Ok(lines)
    }

    #[test]
    fn lines_in_pieces_of_every_size() {
        let input = b"one\r\ntwo\n\n\r\nthr\ree\r\r\nnot whole";
        for size in 1..=input.len() {
            assert_eq!(lines(input, size, 100).unwrap(), ["one", "two", "", "", "thr\ree"], "{size}");
        }
    }

    #[test]
    fn nothing_is_kept_when_all_is_whole() {
        let mut partial = Vec::new();
        decode(b"a", 9, &mut partial, |_| {}).unwrap();
        assert_eq!(partial, b"a");
        decode(b"b\n", 9, &mut partial, |_| {}).unwrap();
        assert_eq!(partial.capacity(), 0);
    }

    #[test]
    fn long_lines_are_refused_before_they_end() {
        for size in [1, 3, 99] {
            assert_eq!(lines(b"12345\n123456", size, 5), Err(Violation::TooBig { limit: 5 }));
            assert_eq!(lines(b"123456\n", size, 5), Err(Violation::TooBig { limit: 5 }));
            assert_eq!(lines(b"12345\n12345", size, 5).unwrap(), ["12345"]);
        }
    }
}
