//! Workerman's `text` protocol: each message is a line.

use super::Violation;
use crate::system::memory_reserve;

/// Gives every whole line to `sink`, without its end; the part of the last one that is there stays in `unfinished`. Each byte is
/// looked at once, so small pieces of input cost no more than large ones.
pub(super) fn decode(
    input: &[u8],
    limit: usize,
    unfinished: &mut Vec<u8>,
    mut sink: impl FnMut(&[u8]),
) -> Result<(), Violation> {
    let mut rest = input;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..end];
        if unfinished.len() + line.len() > limit {
            return Err(Violation::TooBig { limit });
        }
        if unfinished.is_empty() {
            sink(without_end(line));
        } else {
            memory_reserve::append(unfinished, line)?;
            sink(without_end(unfinished));
            *unfinished = Vec::new();
        }
        rest = &rest[end + 1..];
    }
    if unfinished.len() + rest.len() > limit {
        return Err(Violation::TooBig { limit });
    }
    memory_reserve::append(unfinished, rest)?;
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
        let (mut unfinished, mut lines) = (Vec::new(), Vec::new());
        for piece in input.chunks(size) {
            decode(piece, limit, &mut unfinished, |line| lines.push(String::from_utf8_lossy(line).into()))?;
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
        let mut unfinished = Vec::new();
        decode(b"a", 9, &mut unfinished, |_| {}).unwrap();
        assert_eq!(unfinished, b"a");
        decode(b"b\n", 9, &mut unfinished, |_| {}).unwrap();
        assert_eq!(unfinished.capacity(), 0);
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
