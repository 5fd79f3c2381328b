//! Inflates the compressed messages of clients (RFC 7692) in steps. A long message is put aside after each share of a shard's
//! time, and goes on when its turn comes again.

use flate2::{Decompress, FlushDecompress, Status};

use super::deflate::TAIL;
use super::violation::WebsocketViolation;
use crate::system::memory_reserve::{self, NoMemory};

/// The output of one step, in bytes, and the memory that is kept for the next message.
pub(super) const STEP: usize = 64 << 10;
/// The memory that a decompressor takes beside its own struct, in bytes; 32 KiB of it are its window.
const DECOMPRESSOR: usize = 48 << 10;

/// The memory, in bytes, from which on the buffer of a long message is kept for the next one.
const LONG: usize = 4 * STEP;

/// The state of a message that is being inflated.
#[derive(Debug)]
pub(super) struct InflateStream {
    decompress: Decompress,
    /// The output so far.
    out: Vec<u8>,
    /// The number of bytes that have been read: those of the compressed message, and of the tail behind it.
    used: usize,
}

impl Default for InflateStream {
    fn default() -> Self {
        Self { decompress: Decompress::new(false), out: Vec::new(), used: 0 }
    }
}

impl InflateStream {
    pub(super) fn so_far(&self) -> &[u8] {
        &self.out
    }

    /// The memory that this takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        DECOMPRESSOR + self.out.capacity()
    }

    /// Inflates `most` bytes, rounded up to whole steps. Gives whether the message is whole. A message whose output is longer
    /// than `limit` is refused before more than that is inflated, however short it is compressed.
    fn go_on(&mut self, compressed: &[u8], limit: usize, most: usize) -> Result<bool, WebsocketViolation> {
        let begin = self.out.len();
        loop {
            let input = match compressed.get(self.used..) {
                Some(input @ [_, ..]) => input,
                _ => &TAIL[(self.used - compressed.len()).min(TAIL.len())..],
            };
            if input.is_empty() {
                return Ok(true);
            }
            // One byte more than the limit shows that the message is too long.
            let room = (limit + 1 - self.out.len()).min(STEP);
            let (before, filled) = (self.decompress.total_in(), self.out.len());
            let status = self.step(input, room, limit)?;
            let used = (self.decompress.total_in() - before) as usize;
            self.used += used;
            if self.out.len() > limit {
                return Err(WebsocketViolation::TooBig { limit });
            }
            match status {
                // A final block may end a message before its tail.
                Status::StreamEnd => return Ok(true),
                _ if used == 0 && self.out.len() == filled => return Err(WebsocketViolation::Deflate),
                // Output that fills a step may have more behind it.
                _ if self.out.len() - filled >= room && self.out.len() - begin >= most => return Ok(false),
                _ => {}
            }
        }
    }

    fn step(&mut self, input: &[u8], room: usize, limit: usize) -> Result<Status, WebsocketViolation> {
        let filled = self.out.len();
        if self.out.capacity() - filled < room {
            // The buffer at most doubles, and does not grow far beyond the limit of a message.
            let more = filled.min((limit + 1).saturating_sub(filled)).max(room);
            memory_reserve::reserve_exact(&mut self.out, more)?;
        }
        let Self { decompress, out, .. } = self;
        if out.capacity() - filled <= STEP {
            // All small messages are inflated here.
            return decompress
                .decompress_vec(input, out, FlushDecompress::Sync)
                .map_err(|_| WebsocketViolation::Deflate);
        }
        out.resize(filled + room, 0);
        let before = decompress.total_out();
        let status = decompress.decompress(input, &mut out[filled..], FlushDecompress::Sync);
        out.truncate(filled + (decompress.total_out() - before) as usize);
        status.map_err(|_| WebsocketViolation::Deflate)
    }
}

/// How far a message has come.
#[derive(Debug)]
pub(super) enum InflateProgress<'a> {
    Whole(&'a [u8]),
    /// The allowed output is used up. The message goes on with the stream or, without one, begins again.
    Waits(Option<Box<InflateStream>>),
}

/// Inflates the messages of all connections of one thread.
#[derive(Debug)]
pub struct Inflater {
    /// The stream for messages that begin; most of them end in the same step.
    stream: InflateStream,
    /// The buffer of a long message that has ended, kept for the next one, as fresh memory from the kernel would take far longer
    /// than inflating into it.
    spare: Vec<u8>,
    /// The number of bytes that messages may be inflated to before the reader has other clients have their turn.
    allowed: usize,
    /// Whether a message that is not whole by then may be kept in part.
    may_keep: bool,
    /// The number of bytes that messages were inflated to since [`Inflater::allow`].
    inflated: usize,
    /// How many of these bytes were thrown away, and have to be inflated again.
    discarded: usize,
}

impl Default for Inflater {
    fn default() -> Self {
        let stream = InflateStream::default();
        Self { stream, spare: Vec::new(), allowed: usize::MAX, may_keep: true, inflated: 0, discarded: 0 }
    }
}

impl Inflater {
    /// Makes the decoder stop with the step that reaches `bytes`, or behind the message that goes on from an earlier share, if
    /// that ends first. With `may_keep`, a message that is not whole by then is kept in part; else it begins again when it goes
    /// on.
    pub fn allow(&mut self, bytes: usize, may_keep: bool) {
        (self.allowed, self.may_keep) = (bytes, may_keep);
        (self.inflated, self.discarded) = (0, 0);
        self.clear();
    }

    /// Empties the output buffer, whose message has been handled.
    fn clear(&mut self) {
        let out = &mut self.stream.out;
        out.clear();
        if out.capacity() > self.spare.capacity().max(LONG) {
            self.spare = std::mem::take(out);
        } else {
            out.shrink_to(STEP);
        }
    }

    /// Gives the buffers of long messages back, as no long message is there to go on with.
    pub fn rest(&mut self) {
        if self.stream.out.capacity() > STEP || self.spare.capacity() > 0 {
            self.clear();
            self.spare = Vec::new();
        }
    }

    /// The number of bytes that were inflated since [`Inflater::allow`], as a measure of work.
    pub fn inflated(&self) -> usize {
        self.inflated
    }

    /// The number of inflated bytes that count as sent by clients: what was thrown away, and is inflated again later, does not
    /// count twice.
    pub fn sent(&self) -> usize {
        self.inflated - self.discarded
    }

    pub(super) fn has_spent_all(&self) -> bool {
        self.inflated >= self.allowed
    }

    /// Begins a message, or goes on with one that has `begun`.
    pub(super) fn inflate(
        &mut self,
        compressed: &[u8],
        begun: Option<Box<InflateStream>>,
        limit: usize,
    ) -> Result<InflateProgress<'_>, WebsocketViolation> {
        let most = self.allowed.saturating_sub(self.inflated);
        if let Some(mut stream) = begun {
            let before = stream.out.len();
            let result = stream.go_on(compressed, limit, most);
            self.inflated = self.inflated.saturating_add(stream.out.len() - before);
            if !result? {
                return Ok(InflateProgress::Waits(Some(stream)));
            }
            // The messages behind one that took several shares wait for their next turn.
            self.allowed = 0;
            self.stream = *stream;
            return Ok(InflateProgress::Whole(&self.stream.out));
        }
        self.clear();
        self.stream.used = 0;
        self.stream.decompress.reset(false);
        let result = self.stream.go_on(compressed, limit, most);
        self.inflated = self.inflated.saturating_add(self.stream.out.len());
        if result? {
            return Ok(InflateProgress::Whole(&self.stream.out));
        }
        if !self.may_keep {
            self.discarded += self.stream.out.len();
            return Ok(InflateProgress::Waits(None));
        }
        if !memory_reserve::has_room(DECOMPRESSOR) {
            return Err(NoMemory.into());
        }
        let mut stream = std::mem::take(&mut self.stream);
        if self.spare.capacity() > stream.out.capacity() {
            self.spare.extend_from_slice(&stream.out);
            stream.out = std::mem::take(&mut self.spare);
        }
        Ok(InflateProgress::Waits(Some(Box::new(stream))))
    }

    /// Inflates a whole message at once.
    #[cfg(test)]
    pub(super) fn inflate_all(
        &mut self,
        compressed: &[u8],
        limit: usize,
    ) -> Result<&[u8], WebsocketViolation> {
        self.allow(usize::MAX, true);
        match self.inflate(compressed, None, limit)? {
            InflateProgress::Whole(message) => Ok(message),
            InflateProgress::Waits(_) => panic!("all was allowed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::deflate::deflate;
    use super::*;

    /// Inflates a message with `allowed` bytes at a time, and gives the number of calls that it took.
    fn in_parts(
        inflater: &mut Inflater,
        compressed: &[u8],
        allowed: usize,
    ) -> Result<(Vec<u8>, usize), WebsocketViolation> {
        let mut begun = None;
        for parts in 1.. {
            inflater.allow(allowed, true);
            match inflater.inflate(compressed, begun, 4 << 20)? {
                InflateProgress::Whole(message) => return Ok((message.to_vec(), parts)),
                InflateProgress::Waits(stream) => begun = Some(stream.unwrap()),
            }
            assert!(inflater.inflated() < allowed + STEP, "{} bytes", inflater.inflated());
        }
        unreachable!()
    }

    #[test]
    fn a_long_message_comes_in_parts() {
        let mut inflater = Inflater::default();
        let numbers = (0..200_000u32).map(|i| i.wrapping_mul(2_654_435_761).to_string());
        let numbers = numbers.collect::<String>().into_bytes();
        for (length, allowed, parts) in
            [(1000, 1, 1), (STEP - 1, 1, 1), (10 * STEP, 1, 10), (1 << 20, 4 * STEP, 4)]
        {
            for message in [vec![b'x'; length], numbers[..length].to_vec()] {
                let compressed = deflate(&message).unwrap();
                let (out, took) = in_parts(&mut inflater, &compressed, allowed).unwrap();
                assert!(out == message && took.abs_diff(parts) <= 1, "{length} bytes by {allowed}: {took}");
                // The message of another client is inflated in between, and again afterwards.
                assert_eq!(inflater.inflate_all(&compressed, length).unwrap(), message);
            }
        }
        assert_eq!(
            in_parts(&mut inflater, &deflate(&vec![0; 5 << 20]).unwrap(), 1),
            Err(WebsocketViolation::TooBig { limit: 4 << 20 })
        );
        // A message whose end is broken is refused when that is reached.
        let broken = [&deflate(&vec![0; 1 << 20]).unwrap()[..], &[0xff; 10]].concat();
        assert_eq!(in_parts(&mut inflater, &broken, 1), Err(WebsocketViolation::Deflate));
    }

    #[test]
    fn what_is_not_kept_begins_again_and_is_sent_once() {
        let compressed = deflate(&vec![0; 1 << 20]).unwrap();
        let mut inflater = Inflater::default();
        inflater.allow(1, false);
        assert!(matches!(inflater.inflate(&compressed, None, 1 << 20), Ok(InflateProgress::Waits(None))));
        assert_eq!((inflater.inflated(), inflater.sent()), (STEP, 0));
        assert_eq!(inflater.inflate_all(&compressed, 1 << 20).map(<[u8]>::len), Ok(1 << 20));
        assert_eq!((inflater.inflated(), inflater.sent()), (1 << 20, 1 << 20));
    }

    #[test]
    fn the_next_long_message_has_the_memory_of_the_last() {
        let compressed = deflate(&vec![0; 1 << 20]).unwrap();
        let mut inflater = Inflater::default();
        in_parts(&mut inflater, &compressed, 1).unwrap();
        let place = inflater.stream.out.as_ptr();
        inflater.allow(1, true);
        let Ok(InflateProgress::Waits(Some(stream))) = inflater.inflate(&compressed, None, 4 << 20) else {
            panic!("it is whole");
        };
        assert_eq!((stream.so_far().len(), stream.so_far().as_ptr()), (STEP, place));
        drop(stream);
        in_parts(&mut inflater, &compressed, 1).unwrap();
        inflater.rest();
        assert_eq!(inflater.spare.capacity(), 0);
        assert!(inflater.stream.out.capacity() <= STEP);
    }

    #[test]
    fn what_is_kept_takes_no_more_than_a_message_may_have() {
        let compressed = deflate(&vec![0; (1 << 20) + STEP]).unwrap();
        let mut inflater = Inflater::default();
        inflater.allow(1 << 20, true);
        let Ok(InflateProgress::Waits(Some(stream))) = inflater.inflate(&compressed, None, (1 << 20) + STEP)
        else {
            panic!("it is whole");
        };
        assert_eq!(stream.so_far().len(), 1 << 20);
        assert!(stream.weight() <= (1 << 20) + 3 * STEP, "{}", stream.weight());
        assert!(inflater.stream.out.capacity() == 0);
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bomb = deflate(&vec![0; 50 << 20]).unwrap();
        let mut inflater = Inflater::default();
        assert_eq!(inflater.inflate_all(&bomb, 1000), Err(WebsocketViolation::TooBig { limit: 1000 }));
        assert!(inflater.stream.out.capacity() <= 2 * STEP);
        assert_eq!(inflater.inflate_all(&bomb, 1 << 20), Err(WebsocketViolation::TooBig { limit: 1 << 20 }));
        let exact = deflate(&[b'x'; 1000]).unwrap();
        assert_eq!(inflater.inflate_all(&exact, 1000).map(<[u8]>::len), Ok(1000));
        assert_eq!(inflater.inflate_all(&exact, 999), Err(WebsocketViolation::TooBig { limit: 999 }));
    }

    #[test]
    fn what_is_no_deflate_is_refused() {
        let mut inflater = Inflater::default();
        for garbage in [&b"\xff\xff\xff"[..], b"\x07", &[0x1f; 300]] {
            assert_eq!(inflater.inflate_all(garbage, 1000), Err(WebsocketViolation::Deflate), "{garbage:?}");
        }
        // RFC 7692 7.2.3.1 and 7.2.3.4: "Hello", and the same with a final block.
        assert_eq!(inflater.inflate_all(b"\xf2\x48\xcd\xc9\xc9\x07\x00", 5).unwrap(), b"Hello");
        assert_eq!(inflater.inflate_all(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 5).unwrap(), b"Hello");
        assert_eq!(inflater.inflate_all(b"", 5).unwrap(), b"");
    }
}
