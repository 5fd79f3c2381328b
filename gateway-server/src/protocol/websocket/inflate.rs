//! Compressed messages of clients (RFC 7692), inflated in steps: a long one is left after each share of a shard's time, and
//! goes on when it is its turn again.

use flate2::{Decompress, FlushDecompress, Status};

use super::deflate::TAIL;
use super::violation::WebsocketViolation;
use crate::system::memory_reserve::{self, NoMemory};

/// Bytes of a step, and of memory kept for the next message.
pub(super) const STEP: usize = 64 << 10;
/// Bytes that a decompressor takes beside itself: 32 KiB of them are its window.
const DECOMPRESSOR: usize = 48 << 10;

/// Bytes of memory that are kept for the next long message.
const LONG: usize = 4 * STEP;

/// A message on its way out of its compressed form.
#[derive(Debug)]
pub(super) struct InflateStream {
    decompress: Decompress,
    /// What it was inflated to so far.
    out: Vec<u8>,
    /// Bytes of the compressed message, and of the tail behind it, that have been read.
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

    /// The memory that it takes.
    pub(super) fn weight(&self) -> usize {
        DECOMPRESSOR + self.out.capacity()
    }

    /// Inflates `most` bytes, rounded up to whole steps. Gives whether the message is whole, which has at most `limit` bytes
    /// however little it takes compressed.
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
            // One byte more than is allowed shows that it is too big.
            let room = (limit + 1 - self.out.len()).min(STEP);
            let (before, filled) = (self.decompress.total_in(), self.out.len());
            let status = self.step(input, room, limit)?;
            let used = (self.decompress.total_in() - before) as usize;
            self.used += used;
            if self.out.len() > limit {
                return Err(WebsocketViolation::TooBig { limit });
            }
            match status {
                // A final block, which is allowed to end a message before its tail.
                Status::StreamEnd => return Ok(true),
                _ if used == 0 && self.out.len() == filled => return Err(WebsocketViolation::Deflate),
                // What fills a step may have more behind it.
                _ if self.out.len() - filled >= room && self.out.len() - begin >= most => return Ok(false),
                _ => {}
            }
        }
    }

    fn step(&mut self, input: &[u8], room: usize, limit: usize) -> Result<Status, WebsocketViolation> {
        let filled = self.out.len();
        if self.out.capacity() - filled < room {
            // At most doubled, and not far beyond what a message may have.
            let more = filled.min((limit + 1).saturating_sub(filled)).max(room);
            memory_reserve::reserve_exact(&mut self.out, more)?;
        }
        let Self { decompress, out, .. } = self;
        if out.capacity() - filled <= STEP {
            // All small messages.
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

/// What has become of a message.
#[derive(Debug)]
pub(super) enum InflateProgress<'a> {
    Whole(&'a [u8]),
    /// There is more of it than was allowed; without a stream it begins again.
    Waits(Option<Box<InflateStream>>),
}

/// One serves all connections of a thread.
#[derive(Debug)]
pub struct Inflater {
    /// For messages from their beginning, of which most are over at once.
    stream: InflateStream,
    /// The memory of a long message that is over, for the next one: to have the system give it anew takes far longer than to inflate.
    spare: Vec<u8>,
    /// Bytes that messages may still be inflated to before whoever reads them has others have their turn.
    allowed: usize,
    /// A message that is not whole by then may be kept as far as it is.
    may_keep: bool,
    /// Bytes that messages were inflated to since [`Inflater::allow`].
    inflated: usize,
    /// How many of them were thrown away, and come again.
    discarded: usize,
}

impl Default for Inflater {
    fn default() -> Self {
        let stream = InflateStream::default();
        Self { stream, spare: Vec::new(), allowed: usize::MAX, may_keep: true, inflated: 0, discarded: 0 }
    }
}

impl Inflater {
    /// From now on a decoder stops with the step with which `bytes` are reached, or behind the message, if that is over first. One
    /// that is not is kept as far as it is, or begins again when it goes on.
    pub fn allow(&mut self, bytes: usize, may_keep: bool) {
        (self.allowed, self.may_keep) = (bytes, may_keep);
        (self.inflated, self.discarded) = (0, 0);
        self.clear();
    }

    /// Nobody looks at the last message any more.
    fn clear(&mut self) {
        let out = &mut self.stream.out;
        out.clear();
        if out.capacity() > self.spare.capacity().max(LONG) {
            self.spare = std::mem::take(out);
        } else {
            out.shrink_to(STEP);
        }
    }

    /// No long message is there to go on with.
    pub fn rest(&mut self) {
        if self.stream.out.capacity() > STEP || self.spare.capacity() > 0 {
            self.clear();
            self.spare = Vec::new();
        }
    }

    /// The work that was done since [`Inflater::allow`], in bytes that came out.
    pub fn inflated(&self) -> usize {
        self.inflated
    }

    /// The bytes that clients have sent by it.
    pub fn sent(&self) -> usize {
        self.inflated - self.discarded
    }

    pub(super) fn has_spent_all(&self) -> bool {
        self.inflated >= self.allowed
    }

    /// Goes on with a message, or begins it.
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
            // What comes behind a message that took so long waits for its turn among others.
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

    /// The whole message at once.
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

    /// Inflates a message with `allowed` bytes at a time. Gives how many times it took.
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
                // Another's message is inflated meanwhile, and after it.
                assert_eq!(inflater.inflate_all(&compressed, length).unwrap(), message);
            }
        }
        assert_eq!(
            in_parts(&mut inflater, &deflate(&vec![0; 5 << 20]).unwrap(), 1),
            Err(WebsocketViolation::TooBig { limit: 4 << 20 })
        );
        // A message that is broken at its end is refused there.
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
