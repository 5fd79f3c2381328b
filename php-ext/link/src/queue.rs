//! The calls that the gateway has not confirmed yet, as the bytes that go out, in the order made.
//!
//! Calls are numbered upwards without a gap, so a position among the bytes tells a number, and the other way round.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::ops::AddAssign;

use gateway_wire::bridge::frame::HEADER;

/// Calls are stored in chunks of about so many bytes, so that a call needs no allocation of its own.
const CHUNK_BYTES: usize = 64 << 10;
/// The most slices that one write is given.
const MAX_SLICES: usize = 16;

/// The calls that PHP has handed in and the engine has not taken over.
#[derive(Debug, Default)]
pub(crate) struct UnsentCalls {
    full: Vec<Chunk>,
    open: Chunk,
    /// The numbers of those calls that are queries.
    queries: Vec<u64>,
}

/// A piece of memory with whole frames.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// The number of the last call in it.
    last: u64,
}

impl UnsentCalls {
    pub(crate) fn push(&mut self, seq: u64, is_query: bool, frame: &[u8]) {
        if self.open.bytes.len() + frame.len() > CHUNK_BYTES && !self.open.bytes.is_empty() {
            self.full.push(mem::take(&mut self.open));
        }
        self.open.bytes.extend_from_slice(frame);
        self.open.last = seq;
        if is_query {
            self.queries.push(seq);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.full.len() * CHUNK_BYTES + self.open.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.open.bytes.is_empty()
    }
}

#[derive(Debug)]
pub(crate) struct CallQueue {
    chunks: VecDeque<Chunk>,
    /// The number of the first call that is not confirmed, and how many bytes of the first chunk stand before it.
    first: u64,
    confirmed: usize,
    /// The number of the first call that is not written whole on the current connection, and where it begins.
    unsent: u64,
    unsent_start: QueuePosition,
    /// How far the current connection has been written, which may be within that call.
    written: QueuePosition,
    /// The highest number of a call of which any byte was ever written, on any connection.
    highest_sent: u64,
    /// The number of the last call in the queue.
    last: u64,
    queries: VecDeque<u64>,
    /// Empty memory that is used for PHP's next calls.
    spare_memory: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct QueuePosition {
    chunk: usize,
    offset: usize,
}

/// The orders and bytes that have left the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Confirmed {
    pub(crate) orders: u64,
    pub(crate) bytes: usize,
}

impl AddAssign for Confirmed {
    fn add_assign(&mut self, more: Self) {
        self.orders += more.orders;
        self.bytes += more.bytes;
    }
}

impl Default for CallQueue {
    fn default() -> Self {
        Self {
            chunks: VecDeque::new(),
            first: 1,
            confirmed: 0,
            unsent: 1,
            unsent_start: QueuePosition::default(),
            written: QueuePosition::default(),
            highest_sent: 0,
            last: 0,
            queries: VecDeque::new(),
            spare_memory: Vec::new(),
        }
    }
}

impl CallQueue {
    /// Takes over the calls that PHP has handed in.
    pub(crate) fn collect(&mut self, outgoing: &mut UnsentCalls) {
        if outgoing.is_empty() {
            return;
        }
        let open = Chunk { bytes: mem::take(&mut self.spare_memory), last: 0 };
        self.chunks.extend(outgoing.full.drain(..));
        self.chunks.push_back(mem::replace(&mut outgoing.open, open));
        self.last = self.chunks.back().map_or(self.last, |chunk| chunk.last);
        self.queries.extend(outgoing.queries.drain(..));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent <= self.last
    }

    /// Whether a call was sent whole on the current connection and is not confirmed or answered.
    pub(crate) fn awaits_confirmation(&self) -> bool {
        self.first < self.unsent
    }

    /// Whether the call was sent whole on the current connection and is not confirmed or answered.
    pub(crate) fn was_sent(&self, seq: u64) -> bool {
        (self.first..self.unsent).contains(&seq)
    }

    pub(crate) fn is_query(&self, seq: u64) -> bool {
        self.queries.contains(&seq)
    }

    /// Gives the bytes that are next to `write`, which returns how many of them went out.
    pub(crate) fn write<E>(
        &mut self,
        write: impl FnOnce(&[IoSlice]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut used = 0;
        let mut skip = self.written.offset;
        for (slice, chunk) in slices.iter_mut().zip(self.chunks.range(self.written.chunk..)) {
            *slice = IoSlice::new(&chunk.bytes[skip..]);
            skip = 0;
            used += 1;
        }
        let written = write(&slices[..used])?;
        self.mark_written(written);
        Ok(written)
    }

    fn mark_written(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let Some(chunk) = self.chunks.get(self.written.chunk) else { break };
            let left = chunk.bytes.len() - self.written.offset;
            if bytes < left {
                self.written.offset += bytes;
                break;
            }
            bytes -= left;
            self.written = QueuePosition { chunk: self.written.chunk + 1, offset: 0 };
        }
        while self.unsent_start < self.written {
            let chunk = &self.chunks[self.unsent_start.chunk];
            if self.unsent_start.chunk < self.written.chunk {
                self.unsent = chunk.last + 1;
                self.unsent_start = QueuePosition { chunk: self.unsent_start.chunk + 1, offset: 0 };
                continue;
            }
            let end = self.unsent_start.offset + frame_length(&chunk.bytes[self.unsent_start.offset..]);
            if end > self.written.offset {
                break;
            }
            self.unsent += 1;
            self.unsent_start.offset = end;
        }
        let in_part = self.unsent_start < self.written;
        self.highest_sent = self.highest_sent.max(self.unsent - 1 + u64::from(in_part));
    }

    /// Takes out all calls up to `seq` that were sent. The gateway handles them in order, so that a confirmation of one
    /// confirms all before it.
    pub(crate) fn confirm(&mut self, seq: u64) -> Confirmed {
        self.pop(seq.min(self.unsent - 1))
    }

    /// Prepares for a new connection: calls that have taken effect leave the queue, the rest is to be sent again.
    pub(crate) fn rewind(&mut self, applied: u64) -> Confirmed {
        let done = self.pop(applied.min(self.highest_sent));
        self.restart_at_first();
        done
    }

    /// Takes out the first call if it was sent on an earlier connection, and gives its number. The current connection must be
    /// unused.
    pub(crate) fn drop_first_sent(&mut self) -> Option<(u64, Confirmed)> {
        let first = self.first;
        if self.is_empty() || first > self.highest_sent {
            return None;
        }
        let done = self.pop(first);
        self.restart_at_first();
        Some((first, done))
    }

    /// The number of orders that will be sent though they were sent before, on another connection.
    pub(crate) fn orders_to_resend(&self) -> u64 {
        let sent_before = (self.highest_sent + 1).saturating_sub(self.first);
        let queries = self.queries.iter().filter(|seq| **seq <= self.highest_sent).count();
        sent_before - (queries as u64).min(sent_before)
    }

    fn restart_at_first(&mut self) {
        self.unsent = self.first;
        self.unsent_start = QueuePosition { chunk: 0, offset: self.confirmed };
        self.written = self.unsent_start;
    }

    fn pop(&mut self, up_to: u64) -> Confirmed {
        let before = self.first;
        let mut bytes = 0;
        while self.first <= up_to {
            let Some(chunk) = self.chunks.front() else { break };
            if chunk.last > up_to {
                let length = frame_length(&chunk.bytes[self.confirmed..]);
                bytes += length;
                self.confirmed += length;
                self.first += 1;
                continue;
            }
            bytes += chunk.bytes.len() - self.confirmed;
            self.first = chunk.last + 1;
            self.confirmed = 0;
            self.unsent_start.chunk = self.unsent_start.chunk.saturating_sub(1);
            self.written.chunk = self.written.chunk.saturating_sub(1);
            self.pop_chunk();
        }
        let mut orders = self.first - before;
        while self.queries.front().is_some_and(|seq| *seq <= up_to) {
            self.queries.pop_front();
            orders -= 1;
        }
        Confirmed { orders, bytes }
    }

    fn pop_chunk(&mut self) {
        if let Some(Chunk { mut bytes, .. }) = self.chunks.pop_front()
            && bytes.capacity() <= 2 * CHUNK_BYTES
        {
            bytes.clear();
            self.spare_memory = bytes;
        }
    }
}

/// The length of the frame at the start, with its header.
fn frame_length(bytes: &[u8]) -> usize {
    let content = bytes.first_chunk().map_or(0, |header| u32::from_be_bytes(*header) as usize);
    HEADER + content
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: bool = false;
    const QUERY: bool = true;

    fn frame(seq: u64, length: usize) -> Vec<u8> {
        let header = u32::try_from(length).unwrap().to_be_bytes();
        [&header[..], &vec![u8::try_from(seq).unwrap(); length]].concat()
    }

    /// Makes a queue of frames of ten bytes, each in a chunk of its own if `apart`.
    fn queue(frames: &[bool], apart: bool) -> CallQueue {
        let mut queue = CallQueue::default();
        let mut outgoing = UnsentCalls::default();
        for (seq, is_query) in (1..).zip(frames) {
            outgoing.push(seq, *is_query, &frame(seq, 6));
            if apart {
                queue.collect(&mut outgoing);
            }
        }
        queue.collect(&mut outgoing);
        queue
    }

    fn unsent(queue: &mut CallQueue) -> Vec<u8> {
        let mut seen = Vec::new();
        let looked: Result<usize, ()> = queue.write(|slices| {
            slices.iter().for_each(|slice| seen.extend_from_slice(slice));
            Ok(0)
        });
        assert_eq!(looked, Ok(0));
        seen
    }

    fn frames(seqs: &[u64]) -> Vec<u8> {
        seqs.iter().flat_map(|seq| frame(*seq, 6)).collect()
    }

    #[test]
    fn partial_writes_go_on_where_they_stopped() {
        for apart in [true, false] {
            let mut queue = queue(&[ORDER, ORDER], apart);
            queue.mark_written(4);
            assert_eq!(unsent(&mut queue), frames(&[1, 2])[4..]);
            queue.mark_written(13);
            assert_eq!(unsent(&mut queue), frames(&[2])[7..]);
            assert!(queue.has_unsent());
            queue.mark_written(3);
            assert!(!queue.has_unsent() && !queue.is_empty());
        }
    }

    #[test]
    fn chunks_are_bounded_but_for_a_large_call() {
        let mut outgoing = UnsentCalls::default();
        let lengths = [10, CHUNK_BYTES - 30, 10, 1, 3 * CHUNK_BYTES, 5];
        for (seq, length) in (1..).zip(lengths) {
            outgoing.push(seq, false, &frame(seq, length));
        }
        let mut queue = CallQueue::default();
        queue.collect(&mut outgoing);
        let sizes: Vec<_> = queue.chunks.iter().map(|chunk| chunk.bytes.len()).collect();
        assert_eq!(sizes, [CHUNK_BYTES - 12, 19, 3 * CHUNK_BYTES + 4, 9]);
        let all: Vec<_> = (1..).zip(lengths).flat_map(|(seq, length)| frame(seq, length)).collect();
        assert_eq!(unsent(&mut queue), all);
    }

    #[test]
    fn confirms_up_to_a_number_and_counts_orders() {
        for apart in [true, false] {
            let mut queue = queue(&[ORDER, QUERY, ORDER, ORDER], apart);
            queue.mark_written(40);
            assert!(queue.is_query(2) && !queue.is_query(3));
            assert_eq!(queue.confirm(3), Confirmed { orders: 2, bytes: 30 });
            assert_eq!(queue.confirm(3), Confirmed::default());
            assert_eq!(queue.confirm(9), Confirmed { orders: 1, bytes: 10 });
            assert!(queue.is_empty() && !queue.has_unsent());
        }
    }

    #[test]
    fn goes_on_after_it_was_empty() {
        let mut queue = queue(&[ORDER, ORDER], false);
        queue.mark_written(20);
        queue.confirm(2);
        let mut outgoing = UnsentCalls::default();
        for seq in 3..6 {
            outgoing.push(seq, ORDER, &frame(seq, 6));
            queue.collect(&mut outgoing);
        }
        queue.mark_written(15);
        assert_eq!(queue.confirm(4), Confirmed { orders: 1, bytes: 10 });
        assert_eq!(unsent(&mut queue), frames(&[4, 5])[5..]);
        queue.mark_written(15);
        assert_eq!(queue.confirm(5), Confirmed { orders: 2, bytes: 20 });
        assert!(queue.is_empty());
    }

    #[test]
    fn what_was_not_sent_cannot_be_confirmed() {
        for apart in [true, false] {
            let mut queue = queue(&[ORDER, ORDER, QUERY], apart);
            queue.mark_written(15);
            assert_eq!(queue.confirm(u64::MAX), Confirmed { orders: 1, bytes: 10 });
            assert_eq!(unsent(&mut queue), frames(&[2, 3])[5..]);
        }
    }

    #[test]
    fn a_new_connection_gets_what_took_no_effect() {
        for apart in [true, false] {
            let mut queue = queue(&[ORDER, QUERY, ORDER, ORDER, QUERY, ORDER], apart);
            queue.mark_written(35);
            assert_eq!(queue.rewind(3), Confirmed { orders: 2, bytes: 30 });
            assert_eq!(queue.orders_to_resend(), 1, "a part of it counts");
            assert_eq!(unsent(&mut queue), frames(&[4, 5, 6]));
            queue.mark_written(10);
            assert_eq!(queue.confirm(9), Confirmed { orders: 1, bytes: 10 });
        }
    }

    #[test]
    fn what_was_sent_once_is_known_on_the_next_connection() {
        for apart in [true, false] {
            let mut queue = queue(&[ORDER, ORDER, ORDER], apart);
            assert_eq!(queue.drop_first_sent(), None);
            queue.mark_written(15);
            assert_eq!(queue.rewind(1), Confirmed { orders: 1, bytes: 10 });
            assert_eq!(queue.drop_first_sent(), Some((2, Confirmed { orders: 1, bytes: 10 })));
            assert_eq!(queue.drop_first_sent(), None);
            assert_eq!(unsent(&mut queue), frames(&[3]));
        }
    }

    #[test]
    fn a_gateway_cannot_claim_what_it_never_got() {
        for apart in [true, false] {
            let mut queue = queue(&[ORDER, ORDER, ORDER], apart);
            queue.mark_written(15);
            assert_eq!(queue.rewind(u64::MAX), Confirmed { orders: 2, bytes: 20 });
            assert_eq!(unsent(&mut queue), frames(&[3]));
        }
    }
}
