//! The queue of frames for other nodes, bounded in bytes: frames that wait to be sent, and orders that may have to be sent again.

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::frame::FrameKind;
use super::resend::ResendRequest;
use super::subject::SubjectTarget;
use crate::system::ages::{ago, millis};

/// Bytes that may wait to be written while there is a connection. Queries wait behind them, and must not wait behind seconds of
/// pushes.
const MAX_UNWRITTEN: usize = 4 << 20;
/// Bytes of memory that an entry takes besides its body.
const ENTRY: usize = 96;

/// An order that is kept, and the time for which it has been.
pub(super) struct KeptOrder {
    pub(super) to: SubjectTarget,
    pub(super) kind: FrameKind,
    pub(super) number: u64,
    pub(super) body: Bytes,
    pub(super) age: Duration,
}

/// How far the orders of a node have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QueuePosition {
    acked: u64,
    last: u64,
    /// The number up to which orders are gone, and the time in milliseconds since the last of these was queued.
    forgotten: (u64, Option<u64>),
}

/// A frame in the queue.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) to: SubjectTarget,
    pub(super) kind: FrameKind,
    /// The frame's number if its kind is numbered, else that of the latest numbered frame before it.
    pub(super) number: u64,
    /// The number of the resend request that the frame answers; 0 if it is sent for the first time.
    pub(super) again: u32,
    pub(super) body: Bytes,
    queued: Instant,
}

impl Entry {
    /// An entry that is written at once and stands in no queue. It has no number.
    pub(super) fn at_once(to: SubjectTarget, kind: FrameKind, body: Bytes) -> Self {
        Self { to, kind, number: 0, again: 0, body, queued: Instant::now() }
    }
}

/// The queue of frames for other nodes.
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    /// The index of the first entry that has not been written.
    next: usize,
    /// Bytes of all entries.
    bytes: usize,
    /// Bytes of the entries that have not been written.
    unwritten: usize,
    /// The bound in bytes for all entries together.
    limit: usize,
    is_up: bool,
    /// The number up to which all healthy nodes have the orders.
    acked: u64,
    /// The number of the last order.
    last: u64,
    /// The number up to which orders cannot be sent again, and the time when the last of these was queued.
    forgotten: (u64, Option<Instant>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum QueueError {
    #[error("{0} bytes for other nodes wait already (cluster_buffer_bytes)")]
    Full(usize),
    #[error("there is no connection to NATS")]
    Down,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        let entries = VecDeque::new();
        Self {
            entries,
            next: 0,
            bytes: 0,
            unwritten: 0,
            limit,
            is_up: false,
            acked: 0,
            last: 0,
            forgotten: (0, None),
        }
    }

    /// Queues a frame. Orders are kept until [`Queue::forget`]; other frames are sent on this connection or never.
    pub(super) fn push(
        &mut self,
        to: SubjectTarget,
        kind: FrameKind,
        body: Bytes,
    ) -> Result<u64, QueueError> {
        let entry = Entry { to, kind, number: self.last, again: 0, body, queued: Instant::now() };
        if kind.is_numbered() {
            self.make_room(weight(&entry))?;
            self.last += 1;
        } else if !self.is_up {
            return Err(QueueError::Down);
        } else if self.bytes > 2 * self.limit {
            return Err(QueueError::Full(self.bytes));
        }
        self.append(Entry { number: self.last, ..entry });
        Ok(self.last)
    }

    fn make_room(&mut self, weight: usize) -> Result<(), QueueError> {
        // Orders that all nodes have are kept for nodes that start just now, and give way to new ones.
        let acked = self.acked;
        let is_spare = |entry: &Entry| !is_kept(entry) || entry.number <= acked;
        while self.is_up
            && self.bytes + weight > self.limit
            && self.next > 0
            && self.entries.front().is_some_and(is_spare)
        {
            self.drop_first();
        }
        if self.bytes + weight > self.limit && !self.entries.is_empty() {
            return Err(QueueError::Full(self.bytes));
        }
        if self.is_up && self.unwritten > MAX_UNWRITTEN {
            return Err(QueueError::Full(self.unwritten));
        }
        Ok(())
    }

    /// Takes the next entry that has to be written. Orders also stay in the queue, for nodes that miss them. Gives none without a
    /// connection, as other nodes ignore what comes before its introduction.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        if !self.is_up {
            return None;
        }
        let entry = self.entries.get_mut(self.next)?;
        let popped = entry.clone();
        self.unwritten -= weight(entry);
        self.next += 1;
        if !is_kept(entry) {
            self.bytes -= weight(entry) - ENTRY;
            entry.body = Bytes::new();
        }
        // An entry that is not kept is removed once all entries before it are gone.
        while self.next > 0 && self.entries.front().is_some_and(|entry| !is_kept(entry)) {
            self.drop_first();
        }
        Some(popped)
    }

    /// Starts a connection. Orders from before it are sent to the nodes that request them.
    pub(super) fn up(&mut self) {
        self.is_up = true;
        self.next = self.entries.len();
        self.unwritten = 0;
    }

    /// Ends a connection. All frames but orders are dropped.
    pub(super) fn down(&mut self) {
        self.is_up = false;
        self.entries.retain(is_kept);
        self.next = 0;
        self.bytes = self.entries.iter().map(weight).sum();
        self.unwritten = self.bytes;
    }

    /// Notes the number up to which all healthy nodes have the orders.
    pub(super) fn acked(&mut self, number: u64) {
        self.acked = number;
    }

    /// Removes the orders up to a number, which all nodes have. Orders that are younger than `young` are kept for nodes that
    /// start just now.
    pub(super) fn forget(&mut self, number: u64, young: Duration) {
        let is_done = |entry: &Entry| entry.number <= number && entry.queued.elapsed() >= young;
        while self.next > 0 && self.entries.front().is_some_and(is_done) {
            self.drop_first();
        }
        if self.entries.len() < self.entries.capacity() / 8 {
            self.entries.shrink_to_fit();
        }
    }

    /// Queues again the orders that a node requests and that concern it, and a frame that ends them. Gives an upper bound of how
    /// many requested orders are gone. Gives `None` when there is no room; the node will ask again.
    pub(super) fn send_again(&mut self, node: SocketAddrV4, request: ResendRequest) -> Option<u64> {
        let ResendRequest { again, after, within } = request;
        if self.bytes > 2 * self.limit {
            return None;
        }
        let is_recent = |queued: Instant| queued.elapsed() <= within;
        let concerns = |entry: &&Entry| {
            is_kept(entry)
                && entry.number > after
                && is_recent(entry.queued)
                && !matches!(entry.to, SubjectTarget::Node(other) if other != node)
        };
        let found: Vec<_> = self.entries.iter().filter(concerns).cloned().collect();
        for entry in found {
            self.append(Entry { to: SubjectTarget::Node(node), again, ..entry });
        }
        let (forgotten, queued) = self.forgotten;
        let lost = if queued.is_some_and(is_recent) { forgotten.saturating_sub(after) } else { 0 };
        let body = Bytes::copy_from_slice(&lost.to_be_bytes());
        let (kind, number) = (FrameKind::Resumed, self.last);
        self.append(Entry {
            to: SubjectTarget::Node(node),
            kind,
            number,
            again,
            body,
            queued: Instant::now(),
        });
        Some(lost)
    }

    pub(super) fn position(&self) -> QueuePosition {
        let (number, queued) = self.forgotten;
        let age = queued.map(|queued| millis(queued.elapsed()));
        QueuePosition { acked: self.acked, last: self.last, forgotten: (number, age) }
    }

    /// The orders that are kept, in their order.
    pub(super) fn kept(&self) -> impl Iterator<Item = KeptOrder> {
        self.entries.iter().filter(|entry| is_kept(entry)).map(|entry| KeptOrder {
            to: entry.to,
            kind: entry.kind,
            number: entry.number,
            body: entry.body.clone(),
            age: entry.queued.elapsed(),
        })
    }

    /// Goes on as the queue of the process before this one. Its orders follow by [`Queue::keep`].
    pub(super) fn go_on_at(&mut self, position: QueuePosition) {
        let (number, age) = position.forgotten;
        let queued = age.map(|age| ago(Instant::now(), Duration::from_millis(age)));
        (self.acked, self.last, self.forgotten) = (position.acked, position.last, (number, queued));
    }

    /// Keeps an order of the process before this one. Gives false if it is none that could follow on those before it.
    pub(super) fn keep(&mut self, order: KeptOrder) -> bool {
        let KeptOrder { to, kind, number, body, age } = order;
        let follows = self.entries.back().is_none_or(|last| last.number < number);
        if !kind.is_numbered() || !follows || number > self.last {
            return false;
        }
        self.append(Entry { to, kind, number, again: 0, body, queued: ago(Instant::now(), age) });
        true
    }

    pub(super) fn is_up(&self) -> bool {
        self.is_up
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn append(&mut self, entry: Entry) {
        self.bytes += weight(&entry);
        self.unwritten += weight(&entry);
        self.entries.push_back(entry);
    }

    fn drop_first(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.next = self.next.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(weight(&entry));
        if is_kept(&entry) {
            self.forgotten = (self.forgotten.0.max(entry.number), Some(entry.queued));
        }
    }
}

/// Bytes that an entry takes in memory. An order that is sent again shares its body with the kept one.
fn weight(entry: &Entry) -> usize {
    ENTRY + if is_again(entry) { 0 } else { entry.body.len() }
}

fn is_again(entry: &Entry) -> bool {
    entry.again != 0 && entry.kind.is_numbered()
}

fn is_kept(entry: &Entry) -> bool {
    entry.kind.is_numbered() && entry.again == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(last: u8) -> SocketAddrV4 {
        SocketAddrV4::new([10, 0, 0, last].into(), 1238)
    }

    fn request(again: u32, after: u64, within: Duration) -> ResendRequest {
        ResendRequest { again, after, within }
    }

    fn order(queue: &mut Queue, to: SubjectTarget) -> Result<u64, QueueError> {
        queue.push(to, FrameKind::Order, Bytes::from_static(&[0; 104]))
    }

    fn written(queue: &mut Queue) -> Vec<(u64, FrameKind, u32)> {
        std::iter::from_fn(|| queue.pop()).map(|entry| (entry.number, entry.kind, entry.again)).collect()
    }

    #[test]
    fn what_was_missed_is_sent_again_to_those_it_concerns() {
        let mut queue = Queue::new(10_000);
        assert_eq!(queue.push(SubjectTarget::All, FrameKind::Heartbeat, Bytes::new()), Err(QueueError::Down));
        queue.up();
        assert_eq!(order(&mut queue, SubjectTarget::All), Ok(1));
        assert_eq!(order(&mut queue, SubjectTarget::Node(node(1))), Ok(2));
        assert_eq!(queue.push(SubjectTarget::All, FrameKind::Heartbeat, Bytes::from_static(b"beat")), Ok(2));
        assert_eq!(order(&mut queue, SubjectTarget::Node(node(2))), Ok(3));
        let first = [
            (1, FrameKind::Order, 0),
            (2, FrameKind::Order, 0),
            (2, FrameKind::Heartbeat, 0),
            (3, FrameKind::Order, 0),
        ];
        assert_eq!(written(&mut queue), first);

        queue.down();
        assert_eq!(order(&mut queue, SubjectTarget::All), Ok(4));
        assert_eq!(written(&mut queue), [], "a connection begins with an introduction");
        queue.up();
        assert_eq!(written(&mut queue), []);
        assert_eq!(order(&mut queue, SubjectTarget::All), Ok(5));
        assert_eq!(queue.send_again(node(1), request(7, 1, Duration::MAX)), Some(0));
        let again = [
            (5, FrameKind::Order, 0),
            (2, FrameKind::Order, 7),
            (4, FrameKind::Order, 7),
            (5, FrameKind::Order, 7),
            (5, FrameKind::Resumed, 7),
        ];
        assert_eq!(written(&mut queue), again);

        queue.forget(4, Duration::MAX);
        assert_eq!(queue.forgotten.0, 0);
        queue.forget(4, Duration::ZERO);
        assert_eq!(queue.send_again(node(1), request(8, 3, Duration::MAX)), Some(1));
        assert_eq!(written(&mut queue), [(5, FrameKind::Order, 8), (5, FrameKind::Resumed, 8)]);
        assert_eq!(queue.send_again(node(1), request(6, 0, Duration::ZERO)), Some(0));
        assert_eq!(written(&mut queue), [(5, FrameKind::Resumed, 6)]);
        queue.forget(5, Duration::ZERO);
        assert!(queue.pop().is_none());
        assert_eq!((queue.entries.len(), queue.bytes), (0, 0));
    }

    #[test]
    fn is_bounded_in_bytes() {
        let mut queue = Queue::new(1000);
        queue.up();
        // Orders that are not written are not removed for others.
        for _ in 0..5 {
            order(&mut queue, SubjectTarget::All).unwrap();
        }
        assert_eq!(order(&mut queue, SubjectTarget::All), Err(QueueError::Full(1000)));
        written(&mut queue);
        assert_eq!(order(&mut queue, SubjectTarget::All), Err(QueueError::Full(1000)));
        // Orders that all nodes have are removed.
        queue.acked(1);
        assert_eq!(order(&mut queue, SubjectTarget::All), Ok(6));
        assert_eq!(queue.send_again(node(1), request(9, 0, Duration::MAX)), Some(1));
        // Orders stay while they may have been lost.
        queue.down();
        assert_eq!(order(&mut queue, SubjectTarget::All), Err(QueueError::Full(1000)));
        queue.up();
        // A single order may be longer than the whole queue may be.
        let mut queue = Queue::new(1000);
        queue.push(SubjectTarget::All, FrameKind::Order, Bytes::from(vec![0; 5000])).unwrap();
    }
}
