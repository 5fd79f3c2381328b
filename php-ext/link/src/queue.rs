//! The calls that the gateway has not confirmed yet, in the order made.

use std::collections::VecDeque;

/// One encoded call.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) seq: u64,
    /// Orders are confirmed and sent again; queries are answered, and only while somebody waits.
    pub(crate) is_query: bool,
    pub(crate) bytes: Box<[u8]>,
}

/// How much one write takes of small frames.
const GATHERED: usize = 64 << 10;

#[derive(Debug, Default)]
pub(crate) struct Queue {
    frames: VecDeque<Frame>,
    /// How many frames, from the front, have been written whole on the current connection.
    sent: usize,
    /// How many bytes of the next frame have been written.
    offset: usize,
    /// The highest number ever written, even in part, on any connection.
    highest_sent: u64,
}

/// What left the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) orders: u64,
    pub(crate) bytes: usize,
}

impl Queue {
    pub(crate) fn push(&mut self, frame: Frame) {
        self.frames.push_back(frame);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.sent < self.frames.len()
    }

    /// What is to be written next: one large frame where it is, or small ones gathered in `buffer`.
    pub(crate) fn unsent<'a>(&'a self, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        buffer.clear();
        let mut skip = self.offset;
        for frame in self.frames.range(self.sent..) {
            let bytes = &frame.bytes[skip..];
            if buffer.is_empty() && bytes.len() >= GATHERED {
                return bytes;
            }
            if buffer.len() + bytes.len() > GATHERED {
                break;
            }
            buffer.extend_from_slice(bytes);
            skip = 0;
        }
        buffer
    }

    /// Notes that so many bytes of what [`Queue::unsent`] gave were written.
    pub(crate) fn wrote(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let Some(frame) = self.frames.get(self.sent) else { return };
            self.highest_sent = self.highest_sent.max(frame.seq);
            let left = frame.bytes.len() - self.offset;
            if bytes < left {
                self.offset += bytes;
                return;
            }
            bytes -= left;
            self.offset = 0;
            self.sent += 1;
        }
    }

    /// Takes out the orders up to `seq` that were sent. Queries stay until they are answered or given up.
    pub(crate) fn confirm(&mut self, seq: u64) -> Done {
        let mut done = Done::default();
        let mut kept = 0;
        // What is confirmed stands at the front, but for a query that is not answered yet.
        while let Some(frame) = self.frames.get(kept) {
            if kept >= self.sent || frame.seq > seq {
                break;
            }
            if frame.is_query {
                kept += 1;
            } else if let Some(frame) = self.take(kept) {
                done.count(&frame);
            }
        }
        done
    }

    /// Takes out one call that was sent: the gateway has answered or refused it.
    pub(crate) fn remove(&mut self, seq: u64) -> Option<Frame> {
        let index = self.frames.binary_search_by_key(&seq, |frame| frame.seq).ok()?;
        // The rest of a frame that was written in part must follow on the same connection.
        let in_part = index == self.sent && self.offset > 0;
        if in_part || seq > self.highest_sent {
            return None;
        }
        self.take(index)
    }

    /// The first call, if it was sent on this connection or an earlier one.
    pub(crate) fn first_sent(&self) -> Option<u64> {
        self.frames.front().map(|frame| frame.seq).filter(|seq| *seq <= self.highest_sent)
    }

    /// Prepares for a new connection: all is to be sent again but for orders that have taken effect and queries that
    /// nobody waits for.
    pub(crate) fn rewind(&mut self, applied: u64, awaited: Option<u64>) -> Done {
        let applied = applied.min(self.highest_sent);
        self.sent = 0;
        self.offset = 0;
        let mut done = Done::default();
        self.frames.retain(|frame| {
            let keep = if frame.is_query { awaited == Some(frame.seq) } else { frame.seq > applied };
            if !keep {
                done.count(frame);
            }
            keep
        });
        done
    }

    /// How many orders will be sent though they were sent before, on another connection.
    pub(crate) fn to_be_resent(&self) -> u64 {
        let sent_before = self.frames.iter().take_while(|frame| frame.seq <= self.highest_sent);
        sent_before.filter(|frame| !frame.is_query).count() as u64
    }

    fn take(&mut self, index: usize) -> Option<Frame> {
        self.sent -= usize::from(index < self.sent);
        self.frames.remove(index)
    }
}

impl Done {
    pub(crate) fn of(frame: &Frame) -> Self {
        let mut done = Self::default();
        done.count(frame);
        done
    }

    fn count(&mut self, frame: &Frame) {
        self.orders += u64::from(!frame.is_query);
        self.bytes += frame.bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(frames: &[(u64, bool)]) -> Queue {
        let mut queue = Queue::default();
        for (seq, is_query) in frames {
            let bytes = vec![u8::try_from(*seq).unwrap(); 10].into();
            queue.push(Frame { seq: *seq, is_query: *is_query, bytes });
        }
        queue
    }

    fn unsent(queue: &Queue) -> Vec<u8> {
        queue.unsent(&mut Vec::new()).to_vec()
    }

    const ORDER: bool = false;
    const QUERY: bool = true;

    #[test]
    fn partial_writes_go_on_where_they_stopped() {
        let mut queue = queue(&[(1, ORDER), (2, ORDER)]);
        queue.wrote(4);
        assert_eq!(unsent(&queue), [[1u8; 6].as_slice(), &[2; 10]].concat());
        queue.wrote(13);
        assert_eq!(unsent(&queue), [2; 3]);
        queue.wrote(3);
        assert!(!queue.has_unsent() && !queue.is_empty());
    }

    #[test]
    fn small_frames_are_written_together_and_large_ones_from_where_they_are() {
        let mut queue = Queue::default();
        for (seq, length) in [(1, 10), (2, GATHERED - 20), (3, 10), (4, 1), (5, GATHERED), (6, 5)] {
            queue.push(Frame { seq, is_query: false, bytes: vec![0; length].into() });
        }
        let mut buffer = Vec::new();
        let mut written = Vec::new();
        while queue.has_unsent() {
            let length = queue.unsent(&mut buffer).len();
            queue.wrote(length);
            written.push(length);
        }
        assert_eq!(written, [GATHERED, 1, GATHERED, 5]);
        assert!(buffer.capacity() <= 2 * GATHERED);
    }

    #[test]
    fn confirms_orders_up_to_a_number_and_leaves_queries() {
        let mut queue = queue(&[(1, ORDER), (2, QUERY), (3, ORDER), (4, ORDER)]);
        queue.wrote(40);
        assert_eq!(queue.confirm(3), Done { orders: 2, bytes: 20 });
        assert!(queue.remove(2).is_some_and(|frame| frame.is_query));
        assert!(queue.remove(2).is_none());
        assert_eq!(queue.confirm(9), Done { orders: 1, bytes: 10 });
        assert!(queue.is_empty());
    }

    #[test]
    fn what_was_not_sent_cannot_be_confirmed() {
        let mut queue = queue(&[(1, ORDER), (2, ORDER), (3, QUERY)]);
        queue.wrote(15);
        assert_eq!(queue.confirm(u64::MAX), Done { orders: 1, bytes: 10 });
        assert!(queue.remove(2).is_none(), "half of it is on its way");
        assert!(queue.remove(3).is_none());
        assert_eq!(unsent(&queue), [[2u8; 5].as_slice(), &[3; 10]].concat());
    }

    #[test]
    fn a_new_connection_gets_what_took_no_effect() {
        let mut queue = queue(&[(1, ORDER), (2, QUERY), (3, ORDER), (4, ORDER), (5, QUERY), (6, ORDER)]);
        queue.wrote(35);
        let done = queue.rewind(3, Some(5));
        assert_eq!(done, Done { orders: 2, bytes: 30 });
        assert_eq!(queue.to_be_resent(), 1, "a part of it counts");
        assert_eq!(unsent(&queue), [[4u8; 10], [5; 10], [6; 10]].concat());
    }

    #[test]
    fn what_was_sent_once_is_known_on_the_next_connection() {
        let mut queue = queue(&[(1, ORDER), (2, ORDER), (3, ORDER)]);
        assert_eq!(queue.first_sent(), None);
        queue.wrote(15);
        assert_eq!(queue.rewind(1, None), Done { orders: 1, bytes: 10 });
        assert_eq!(queue.first_sent(), Some(2));
        assert_eq!(queue.remove(2).map(|frame| frame.seq), Some(2));
        assert_eq!(queue.first_sent(), None);
        assert_eq!(unsent(&queue), [3; 10]);
    }

    #[test]
    fn a_gateway_cannot_claim_what_it_never_got() {
        let mut queue = queue(&[(1, ORDER), (2, ORDER), (3, ORDER)]);
        queue.wrote(15);
        assert_eq!(queue.rewind(u64::MAX, None), Done { orders: 2, bytes: 20 });
        assert_eq!(unsent(&queue), [3; 10]);
    }
}
