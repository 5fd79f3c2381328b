//! The outbox of a client: the frames that wait until its socket takes more.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::time::Instant;

use bytes::Bytes;

use super::backlog::{ALLOCATION, Backlog};
use super::packed_chunks::{PackedChunk, PackedChunks};
use super::throughput::Throughput;

/// The largest number of slices that one vectored write gets.
const SLICES: usize = 64;
/// A frame of up to this many bytes is copied behind the frame before it, as a chunk of its own would cost as much again.
const SMALL: usize = 128;
/// The largest number of bytes of small frames that one chunk joins.
const JOINED: usize = 4 << 10;
/// The number of chunks that are sampled for an estimate of what an outbox shares with others.
const LOOKS: usize = 16;

/// The frames that wait for one client. It is empty, and takes no memory, unless the kernel has refused bytes. The methods that
/// change it count its memory in the [`Backlog`] that they get.
#[derive(Default)]
pub(super) struct Outbox(Option<Box<Waiting>>);

/// The contents of an outbox that is not empty.
struct Waiting {
    chunks: VecDeque<Chunk>,
    /// The bytes that the socket has not taken.
    bytes: usize,
    /// The bytes of the first chunk that the socket has taken.
    taken: usize,
    /// The capacity of all joined chunks, in bytes.
    joined: usize,
    /// The number of chunks that have gone out since the outbox was last empty.
    gone: u64,
    /// The number of the newest pong that waits, among all chunks since the outbox was last empty.
    pong: Option<u64>,
    /// How quickly the socket takes what waits.
    pace: Throughput,
    /// The client has been given up, and what waited for it was thrown away, except for what had begun.
    is_given_up: bool,
}

/// What waits in an outbox, on its way to another process.
pub(super) struct OutboxParts<C> {
    pub(super) chunks: Vec<C>,
    /// The bytes of the first chunk that the socket has taken.
    pub(super) taken: usize,
    /// The position of the newest pong among the chunks.
    pub(super) pong: Option<usize>,
    pub(super) pace: Throughput,
    pub(super) is_given_up: bool,
}

/// One entry in the queue of an outbox.
pub(super) enum Chunk {
    /// One frame, the bytes of which other outboxes may hold too.
    Frame(Bytes),
    /// Small frames, copied one behind the other, which no other outbox holds.
    Joined(Vec<u8>),
}

/// An outbox of which the chunks stand elsewhere.
pub(super) struct PackedOutbox {
    chunks: u32,
    /// The position of the newest pong among the chunks.
    pong: Option<u32>,
    taken: usize,
    pace: Throughput,
    is_given_up: bool,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The bytes that wait to be written.
    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.bytes)
    }

    /// The memory of what waits, in bytes, as if no other client held the same frames.
    pub(super) fn cost(&self) -> usize {
        const PLACE: usize = size_of::<Chunk>() + ALLOCATION;
        self.0.as_ref().map_or(0, |waiting| waiting.bytes + PLACE * waiting.chunks.len())
    }

    /// An estimate of the memory, in bytes, that would become free if this outbox were cleared. Of a frame that others hold too,
    /// only this outbox's share counts.
    pub(super) fn burden(&self, held: &Backlog) -> usize {
        let Some(waiting) = &self.0 else { return 0 };
        let step = waiting.chunks.len().div_ceil(LOOKS).max(1);
        let part = |chunk: &Chunk| match chunk {
            Chunk::Frame(frame) => held.part_of(frame),
            Chunk::Joined(_) => 0,
        };
        let parts = waiting.chunks.iter().step_by(step).map(part).sum::<usize>() * step;
        self.own() + parts.min(self.cost())
    }

    /// How quickly the socket takes what waits, or `None` if nothing waits.
    pub(super) fn pace(&self) -> Option<&Throughput> {
        self.0.as_ref().map(|waiting| &waiting.pace)
    }

    /// Counts as progress that the socket has taken bytes which are not in this outbox, such as those that TLS held.
    pub(super) fn moved(&mut self) {
        if let Some(waiting) = &mut self.0 {
            waiting.pace.took(1, Instant::now());
        }
    }

    /// Whether the client has been given up. What had begun to be sent may still wait.
    pub(super) fn is_given_up(&self) -> bool {
        self.0.as_ref().is_some_and(|waiting| waiting.is_given_up)
    }

    /// Gives what waits, for another process, or `None` if nothing does. `carried` gives what a chunk is written as.
    pub(super) fn parts<C>(&self, carried: impl FnMut(&Chunk) -> C) -> Option<OutboxParts<C>> {
        let waiting = self.0.as_ref()?;
        let pong = waiting.pong.and_then(|pong| pong.checked_sub(waiting.gone));
        Some(OutboxParts {
            chunks: waiting.chunks.iter().map(carried).collect(),
            taken: waiting.taken,
            pong: pong.map(|pong| pong as usize),
            pace: waiting.pace.clone(),
            is_given_up: waiting.is_given_up,
        })
    }

    /// Puts what has waited in another process into an empty outbox. Gives false, and leaves the outbox empty, if that contradicts
    /// itself.
    pub(super) fn fill(&mut self, parts: OutboxParts<Chunk>, held: &mut Backlog) -> bool {
        let OutboxParts { chunks, taken, pong, pace, is_given_up } = parts;
        // A first chunk without bytes is gone with the next write.
        let is_sound = chunks.first().is_some_and(|first| taken < first.len() || taken == 0)
            && pong.is_none_or(|pong| pong < chunks.len());
        if !is_sound {
            return false;
        }
        self.change(held, |waiting, held| {
            waiting.chunks.reserve_exact(chunks.len());
            for chunk in chunks {
                match chunk {
                    Chunk::Frame(frame) => waiting.push_frame(frame, held),
                    Chunk::Joined(frames) => {
                        waiting.bytes += frames.len();
                        waiting.joined += frames.capacity();
                        waiting.chunks.push_back(Chunk::Joined(frames));
                    }
                }
            }
            waiting.bytes -= taken;
            waiting.taken = taken;
            waiting.pong = pong.map(|pong| pong as u64);
            waiting.pace = pace;
            waiting.is_given_up = is_given_up;
        });
        true
    }

    /// Empties the outbox into less memory, or gives `None` if nothing waits. The frames that others may hold too stay counted in
    /// `held`.
    pub(super) fn pack(&mut self, chunks: &mut PackedChunks, held: &mut Backlog) -> Option<PackedOutbox> {
        held.change(self.own(), 0);
        let waiting = *self.0.take()?;
        let pong = waiting.pong.and_then(|pong| pong.checked_sub(waiting.gone));
        let packed = PackedOutbox {
            chunks: waiting.chunks.len() as u32,
            pong: pong.map(|pong| pong as u32),
            taken: waiting.taken,
            pace: waiting.pace,
            is_given_up: waiting.is_given_up,
        };
        for chunk in waiting.chunks {
            match chunk {
                Chunk::Frame(frame) => chunks.push_frame(frame),
                Chunk::Joined(frames) => chunks.push_joined(&frames),
            }
        }
        Some(packed)
    }

    /// Makes the outbox that [`Outbox::pack`] has packed, of the next chunks.
    pub(super) fn unpack(packed: PackedOutbox, chunks: &mut PackedChunks, held: &mut Backlog) -> Self {
        let count = packed.chunks as usize;
        let mut waiting = Waiting {
            chunks: VecDeque::with_capacity(count),
            taken: packed.taken,
            pong: packed.pong.map(u64::from),
            pace: packed.pace,
            is_given_up: packed.is_given_up,
            ..Waiting::default()
        };
        for _ in 0..count {
            let Some(chunk) = chunks.take() else { break };
            let chunk = match chunk {
                PackedChunk::Frame(frame) => Chunk::Frame(frame),
                PackedChunk::Joined(frames) => {
                    let frames = frames.to_vec();
                    waiting.joined += frames.capacity();
                    Chunk::Joined(frames)
                }
            };
            waiting.bytes += chunk.len();
            waiting.chunks.push_back(chunk);
        }
        waiting.bytes -= packed.taken;
        let outbox = Self(Some(Box::new(waiting)));
        held.change(0, outbox.own());
        outbox
    }

    pub(super) fn push(&mut self, frame: Bytes, held: &mut Backlog) {
        self.change(held, |waiting, held| waiting.push(frame, held));
    }

    /// Puts the pong in place of the one that waits, if one does. A client waits only for the answer to its newest ping (RFC 6455
    /// 5.5.3), so many pings cost the memory of one pong.
    pub(super) fn push_pong(&mut self, pong: Bytes, held: &mut Backlog) {
        self.change(held, |waiting, held| waiting.push_pong(pong, held));
    }

    /// Puts a frame, of which the socket has taken `taken` bytes, into an empty outbox.
    pub(super) fn push_begun(&mut self, frame: Bytes, taken: usize, held: &mut Backlog) {
        self.change(held, |waiting, held| {
            waiting.push_frame(frame, held);
            waiting.taken = taken;
            waiting.bytes -= taken;
        });
    }

    /// Forgets what waits, except for the rest of a chunk that has begun to be sent: a frame, or small ones that are joined. The farewell
    /// follows that.
    pub(super) fn give_up(&mut self, farewell: Bytes, held: &mut Backlog) {
        self.change(held, |waiting, held| {
            waiting.is_given_up = true;
            let begun = usize::from(waiting.taken > 0);
            while waiting.chunks.len() > begun
                && let Some(chunk) = waiting.chunks.pop_back()
            {
                waiting.forget(&chunk, held);
                waiting.bytes -= chunk.len();
            }
            waiting.pong = None;
            waiting.push(farewell, held);
            waiting.chunks.shrink_to_fit();
        });
    }

    /// Forgets everything that waits, as the connection ends.
    pub(super) fn clear(&mut self, held: &mut Backlog) {
        self.change(held, |waiting, held| {
            waiting.taken = 0;
            while let Some(chunk) = waiting.chunks.pop_back() {
                waiting.forget(&chunk, held);
            }
        });
    }

    /// Writes until everything is written or the socket takes no more.
    pub(super) fn write_to(&mut self, socket: &mut impl Write, held: &mut Backlog) -> io::Result<()> {
        while let Some(waiting) = &self.0 {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            let mut taken = waiting.taken;
            for (slice, chunk) in slices.iter_mut().zip(&waiting.chunks) {
                *slice = IoSlice::new(&chunk.bytes()[taken..]);
                taken = 0;
                used += 1;
            }
            let Some(written) = write_some(socket, &slices[..used])? else { break };
            self.change(held, |waiting, held| waiting.advance(written, held));
        }
        Ok(())
    }

    /// Carries out an action, and counts how it changes the memory that this client alone holds.
    fn change(&mut self, held: &mut Backlog, action: impl FnOnce(&mut Waiting, &mut Backlog)) {
        let before = self.own();
        let waiting = self.0.get_or_insert_with(Box::default);
        action(waiting, held);
        if waiting.chunks.is_empty() {
            self.0 = None;
        }
        held.change(before, self.own());
    }

    fn own(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| {
            size_of::<Waiting>() + waiting.chunks.capacity() * size_of::<Chunk>() + waiting.joined
        })
    }
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            chunks: VecDeque::new(),
            bytes: 0,
            taken: 0,
            joined: 0,
            gone: 0,
            pong: None,
            pace: Throughput::new(Instant::now()),
            is_given_up: false,
        }
    }
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Frame(frame) => frame,
            Self::Joined(frames) => frames,
        }
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }
}

impl Waiting {
    fn push(&mut self, frame: Bytes, held: &mut Backlog) {
        if frame.len() > SMALL {
            return self.push_frame(frame, held);
        }
        self.bytes += frame.len();
        let before = match self.chunks.back_mut() {
            Some(Chunk::Joined(frames)) if frames.len() + frame.len() <= JOINED => {
                let before = frames.capacity();
                frames.extend_from_slice(&frame);
                self.joined += frames.capacity() - before;
                return;
            }
            _ => frame.to_vec(),
        };
        self.joined += before.capacity();
        self.chunks.push_back(Chunk::Joined(before));
    }

    fn push_frame(&mut self, frame: Bytes, held: &mut Backlog) {
        self.bytes += frame.len();
        held.add(&frame);
        self.chunks.push_back(Chunk::Frame(frame));
    }

    fn push_pong(&mut self, pong: Bytes, held: &mut Backlog) {
        let position = self.pong.and_then(|pong| pong.checked_sub(self.gone));
        if let Some(position) = position.filter(|position| *position > 0 || self.taken == 0)
            && let Some(Chunk::Frame(waits)) = self.chunks.get_mut(position as usize)
        {
            self.bytes = self.bytes - waits.len() + pong.len();
            held.remove(waits);
            held.add(&pong);
            *waits = pong;
            return;
        }
        self.pong = Some(self.gone + self.chunks.len() as u64);
        self.push_frame(pong, held);
    }

    /// Takes a chunk that does not wait any more out of the counts.
    fn forget(&mut self, chunk: &Chunk, held: &mut Backlog) {
        match chunk {
            Chunk::Frame(frame) => held.remove(frame),
            Chunk::Joined(frames) => self.joined -= frames.capacity(),
        }
    }

    fn advance(&mut self, written: usize, held: &mut Backlog) {
        if written > 0 {
            self.pace.took(written, Instant::now());
        }
        self.bytes -= written;
        self.taken += written;
        while self.chunks.front().is_some_and(|chunk| chunk.len() <= self.taken)
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.taken -= chunk.len();
            self.gone += 1;
            self.forget(&chunk, held);
        }
    }
}

/// Whether the bytes are one whole pong frame of a websocket, and nothing else.
pub(super) fn is_pong(frame: &[u8]) -> bool {
    matches!(frame, [0x8a, length, payload @ ..] if usize::from(*length) == payload.len() && *length <= 125)
}

/// Writes once; `None` says that the socket takes nothing at the moment.
pub(super) fn write_one(socket: &mut impl Write, bytes: &[u8]) -> io::Result<Option<usize>> {
    taken(|| socket.write(bytes), bytes.is_empty())
}

/// Writes once, vectored; `None` says that the socket takes nothing at the moment.
pub(super) fn write_some(socket: &mut impl Write, slices: &[IoSlice]) -> io::Result<Option<usize>> {
    taken(|| socket.write_vectored(slices), slices.iter().all(|slice| slice.is_empty()))
}

fn taken(mut write: impl FnMut() -> io::Result<usize>, is_nothing: bool) -> io::Result<Option<usize>> {
    loop {
        return match write() {
            Ok(0) if !is_nothing => Err(ErrorKind::WriteZero.into()),
            Ok(written) => Ok(Some(written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that takes `room` bytes in all, at most `at_once` a call, and then would block.
    struct Socket {
        taken: Vec<u8>,
        room: usize,
        at_once: usize,
    }

    impl Write for Socket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.room).min(self.at_once);
            if length == 0 && !bytes.is_empty() {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.room -= length;
            self.taken.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn frame(byte: u8, length: usize) -> Bytes {
        Bytes::from(vec![byte; length])
    }

    #[test]
    fn what_has_begun_is_finished_when_the_rest_is_given_up() {
        // The outbox holds two frames of 200 bytes, and small ones that are joined.
        for (room, bytes, whole) in [
            (0, 3, "e"),
            (1, 202, "ae"),
            (200, 3, "ae"),
            (201, 202, "abe"),
            (400, 3, "abe"),
            (401, 8, "abcde"),
        ] {
            let (mut outbox, mut held) = (Outbox::default(), Backlog::default());
            [frame(b'a', 200), frame(b'b', 200), frame(b'c', 3), frame(b'd', 3)]
                .into_iter()
                .for_each(|frame| outbox.push(frame, &mut held));
            let mut socket = Socket { taken: Vec::new(), room, at_once: 999 };
            outbox.write_to(&mut socket, &mut held).unwrap();
            outbox.give_up(frame(b'e', 3), &mut held);
            assert_eq!((outbox.bytes(), outbox.is_given_up()), (bytes, true), "{room}");
            socket.room = 1000;
            outbox.write_to(&mut socket, &mut held).unwrap();
            socket.taken.dedup();
            assert_eq!(socket.taken, whole.as_bytes());
            assert_eq!(held.bytes(), 0);
        }
    }

    #[test]
    fn only_the_newest_pong_waits() {
        let (mut outbox, mut held) = (Outbox::default(), Backlog::default());
        let mut socket = Socket { taken: Vec::new(), room: 1, at_once: 999 };
        let pong = |payload: &str| {
            let pong = Bytes::from([&[0x8a, payload.len() as u8], payload.as_bytes()].concat());
            assert!(is_pong(&pong) && !is_pong(&pong[1..]) && !is_pong(&[&pong[..], b"x"].concat()));
            pong
        };
        // The first pong has begun and is sent to its end. The next one keeps its position, at which each newer one replaces it.
        outbox.push_pong(pong("begun"), &mut held);
        outbox.write_to(&mut socket, &mut held).unwrap();
        outbox.push(frame(b'a', 3), &mut held);
        outbox.push_pong(pong("old"), &mut held);
        outbox.push(frame(b'b', 3), &mut held);
        let cost = held.bytes();
        for number in 0..1000 {
            outbox.push_pong(pong(&format!("number {number}")), &mut held);
        }
        assert!(held.bytes() <= cost + 16, "{} after {cost}", held.bytes());
        socket.room = 1000;
        outbox.write_to(&mut socket, &mut held).unwrap();
        let expected = [&pong("begun")[..], b"aaa", &pong("number 999"), b"bbb"].concat();
        assert_eq!(socket.taken, expected);
        assert_eq!(held.bytes(), 0);
    }

    #[test]
    fn what_is_counted_is_what_is_held() {
        let mut held = Backlog::default();
        let shared = frame(b's', 100_000);
        let mut outboxes: Vec<_> = (0..100).map(|_| Outbox::default()).collect();
        for outbox in &mut outboxes {
            outbox.push_begun(shared.clone(), 99_999, &mut held);
            // A small frame costs little more than its bytes.
            (0..1000).for_each(|_| outbox.push(frame(b'x', 10), &mut held));
            assert_eq!(outbox.bytes(), 10_001);
            assert!(outbox.cost() < 11_000, "{}", outbox.cost());
        }
        // The shared frame counts once, as long as a byte of it waits for any client.
        assert!((1_100_000..1_900_000).contains(&held.bytes()), "{}", held.bytes());
        let mut socket = Socket { taken: Vec::new(), room: 1, at_once: 999 };
        for outbox in &mut outboxes[1..] {
            socket.room = 1;
            outbox.write_to(&mut socket, &mut held).unwrap();
            outbox.clear(&mut held);
            assert!(outbox.is_empty());
        }
        assert!((110_000..120_000).contains(&held.bytes()), "{}", held.bytes());
        outboxes[0].clear(&mut held);
        assert_eq!(held.bytes(), 0);
    }

    #[test]
    fn a_packed_outbox_goes_on_at_the_byte_and_counts_what_it_did() {
        let shared = frame(b's', 1000);
        let pong = |payload: u8| Bytes::from(vec![0x8a, 1, payload]);
        let small: Vec<u8> = (b'a'..b'f').flat_map(|byte| [byte; 3]).collect();
        let rest: Vec<u8> = (b'g'..b'z').flat_map(|byte| [byte; 7]).collect();
        let whole = [&shared[..], &small, &pong(2), &rest].concat();
        for room in [0, 1, 999, 1000, 1001, 1005, 1150] {
            let mut held = Backlog::default();
            let mut outboxes = [Outbox::default(), Outbox::default()];
            for outbox in &mut outboxes {
                outbox.push(shared.clone(), &mut held);
                (b'a'..b'f').for_each(|byte| outbox.push(frame(byte, 3), &mut held));
                outbox.push_pong(pong(1), &mut held);
                (b'g'..b'z').for_each(|byte| outbox.push(frame(byte, 7), &mut held));
                let mut socket = Socket { taken: Vec::new(), room, at_once: 999 };
                outbox.write_to(&mut socket, &mut held).unwrap();
            }
            let before = held.bytes();
            let mut chunks = PackedChunks::default();
            let packed = outboxes.each_mut().map(|one| one.pack(&mut chunks, &mut held).unwrap());
            assert!(outboxes.iter().all(Outbox::is_empty) && held.bytes() < before);
            assert!(Outbox::default().pack(&mut chunks, &mut held).is_none());
            let outboxes = packed.map(|one| Outbox::unpack(one, &mut chunks, &mut held));
            // The memory that small frames were given to grow is not there any more.
            assert!(
                (before.saturating_sub(1000)..=before).contains(&held.bytes()),
                "{} after {before}",
                held.bytes()
            );
            for mut outbox in outboxes {
                assert_eq!(outbox.bytes(), whole.len() - room);
                outbox.push_pong(pong(2), &mut held);
                let mut socket = Socket { taken: Vec::new(), room: 2000, at_once: 999 };
                outbox.write_to(&mut socket, &mut held).unwrap();
                // Where the old pong is gone already, the new one comes behind all else.
                let last = if room == 1150 { pong(2) } else { Bytes::new() };
                assert_eq!(socket.taken, [&whole[room..], &last].concat(), "{room}");
            }
            assert_eq!(held.bytes(), 0);
        }
    }

    #[test]
    fn keeps_order_over_partial_writes() {
        let (mut outbox, mut held) = (Outbox::default(), Backlog::default());
        let frames: Vec<_> = (0..200_u8).map(|i| frame(i, usize::from(i) % 7 * usize::from(i))).collect();
        frames.iter().for_each(|frame| outbox.push(frame.clone(), &mut held));
        let total = frames.iter().map(Bytes::len).sum::<usize>();
        let mut socket = Socket { taken: Vec::new(), room: 0, at_once: 3 };
        while !outbox.is_empty() {
            socket.room = 100;
            outbox.write_to(&mut socket, &mut held).unwrap();
            assert_eq!(outbox.bytes() + socket.taken.len(), total);
        }
        assert_eq!(socket.taken, frames.concat());
        assert_eq!((outbox.bytes(), held.bytes()), (0, 0));
    }
}
