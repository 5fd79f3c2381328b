//! What waits to be sent, and what was sent and may have to be sent again. Bounded in bytes.

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::frame::Kind;
use super::subject::To;

/// While there is a connection no more waits for it, so that whoever asks something is not behind seconds of pushes.
const MAX_UNWRITTEN: usize = 4 << 20;
/// What an entry takes beside its body.
const ENTRY: usize = 96;

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) to: To,
    pub(super) kind: Kind,
    pub(super) number: u64,
    /// The number of the wish that it answers; 0 for the first time.
    pub(super) again: u32,
    pub(super) body: Bytes,
    queued: Instant,
}

impl Entry {
    /// One that waits in no queue. It is for now or never, and has no number.
    pub(super) fn at_once(to: To, kind: Kind, body: Bytes) -> Self {
        Self { to, kind, number: 0, again: 0, body, queued: Instant::now() }
    }
}

pub(super) struct Queue {
    entries: VecDeque<Entry>,
    /// The first of those that have not been written.
    next: usize,
    bytes: usize,
    /// Of them, what has not been written.
    unwritten: usize,
    limit: usize,
    is_up: bool,
    /// Everybody who can be waited for has got everything up to this number.
    taken: u64,
    /// Of the last numbered entry.
    last: u64,
    /// Up to which number nothing can be sent again, and since when.
    forgotten: (u64, Option<Instant>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
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
            taken: 0,
            last: 0,
            forgotten: (0, None),
        }
    }

    /// Numbered frames are kept until [`Queue::forget`]; others are for now or never.
    pub(super) fn push(&mut self, to: To, kind: Kind, body: Bytes) -> Result<u64, Refused> {
        let entry = Entry { to, kind, number: self.last, again: 0, body, queued: Instant::now() };
        if kind.is_numbered() {
            self.make_room(weight(&entry))?;
            self.last += 1;
        } else if !self.is_up {
            return Err(Refused::Down);
        } else if self.bytes > 2 * self.limit {
            return Err(Refused::Full(self.bytes));
        }
        self.append(Entry { number: self.last, ..entry });
        Ok(self.last)
    }

    fn make_room(&mut self, weight: usize) -> Result<(), Refused> {
        // What everybody has got is kept only for whoever comes just now.
        let taken = self.taken;
        let is_spare = |entry: &Entry| !is_kept(entry) || entry.number <= taken;
        while self.is_up
            && self.bytes + weight > self.limit
            && self.next > 0
            && self.entries.front().is_some_and(is_spare)
        {
            self.drop_first();
        }
        if self.bytes + weight > self.limit && !self.entries.is_empty() {
            return Err(Refused::Full(self.bytes));
        }
        if self.is_up && self.unwritten > MAX_UNWRITTEN {
            return Err(Refused::Full(self.unwritten));
        }
        Ok(())
    }

    /// The next one to be written.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.get_mut(self.next)?;
        let popped = entry.clone();
        self.unwritten -= weight(entry);
        self.next += 1;
        if !is_kept(entry) {
            self.bytes -= weight(entry) - ENTRY;
            entry.body = Bytes::new();
        }
        // Those that are not kept go with those before them.
        while self.next > 0 && self.entries.front().is_some_and(|entry| !is_kept(entry)) {
            self.drop_first();
        }
        Some(popped)
    }

    /// There is a connection. What is here of before is sent again to those that ask for it.
    pub(super) fn up(&mut self) {
        self.is_up = true;
        self.next = self.entries.len();
        self.unwritten = 0;
    }

    /// The connection has gone, and with it what is for now or never.
    pub(super) fn down(&mut self) {
        self.is_up = false;
        self.entries.retain(is_kept);
        self.next = 0;
        self.bytes = self.entries.iter().map(weight).sum();
        self.unwritten = self.bytes;
    }

    /// Those who can be waited for have got everything up to this number.
    pub(super) fn taken(&mut self, number: u64) {
        self.taken = number;
    }

    /// Everybody has got everything up to this number. What is not older than `young` is kept for whoever comes just now.
    pub(super) fn forget(&mut self, number: u64, young: Duration) {
        let is_done = |entry: &Entry| entry.number <= number && entry.queued.elapsed() >= young;
        while self.next > 0 && self.entries.front().is_some_and(is_done) {
            self.drop_first();
        }
        if self.entries.len() < self.entries.capacity() / 8 {
            self.entries.shrink_to_fit();
        }
    }

    /// Sends again what a node may have missed after a number, and tells it where that ends. Gives how many frames before it
    /// are not here any more; nothing where there is no room, and it will wish again.
    pub(super) fn again(
        &mut self,
        node: SocketAddrV4,
        again: u32,
        after: u64,
        within: Duration,
    ) -> Option<u64> {
        if self.bytes > 2 * self.limit {
            return None;
        }
        let is_recent = |queued: Instant| queued.elapsed() <= within;
        let concerns = |entry: &&Entry| {
            is_kept(entry)
                && entry.number > after
                && is_recent(entry.queued)
                && !matches!(entry.to, To::Node(other) if other != node)
        };
        let found: Vec<_> = self.entries.iter().filter(concerns).cloned().collect();
        for entry in found {
            self.append(Entry { to: To::Node(node), again, ..entry });
        }
        let (forgotten, queued) = self.forgotten;
        let lost = if queued.is_some_and(is_recent) { forgotten.saturating_sub(after) } else { 0 };
        let body = Bytes::copy_from_slice(&lost.to_be_bytes());
        let (kind, number) = (Kind::Resumed, self.last);
        self.append(Entry { to: To::Node(node), kind, number, again, body, queued: Instant::now() });
        Some(lost)
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

/// What is sent again shares the bytes of the first time.
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

    fn order(queue: &mut Queue, to: To) -> Result<u64, Refused> {
        queue.push(to, Kind::Order, Bytes::from_static(&[0; 104]))
    }

    fn written(queue: &mut Queue) -> Vec<(u64, Kind, u32)> {
        std::iter::from_fn(|| queue.pop()).map(|entry| (entry.number, entry.kind, entry.again)).collect()
    }

    #[test]
    fn what_was_missed_is_sent_again_to_those_it_concerns() {
        let mut queue = Queue::new(10_000);
        assert_eq!(queue.push(To::All, Kind::Heartbeat, Bytes::new()), Err(Refused::Down));
        queue.up();
        assert_eq!(order(&mut queue, To::All), Ok(1));
        assert_eq!(order(&mut queue, To::Node(node(1))), Ok(2));
        assert_eq!(queue.push(To::All, Kind::Heartbeat, Bytes::from_static(b"beat")), Ok(2));
        assert_eq!(order(&mut queue, To::Node(node(2))), Ok(3));
        let first = [(1, Kind::Order, 0), (2, Kind::Order, 0), (2, Kind::Heartbeat, 0), (3, Kind::Order, 0)];
        assert_eq!(written(&mut queue), first);

        queue.down();
        assert_eq!(order(&mut queue, To::All), Ok(4));
        queue.up();
        assert_eq!(written(&mut queue), []);
        assert_eq!(order(&mut queue, To::All), Ok(5));
        assert_eq!(queue.again(node(1), 7, 1, Duration::MAX), Some(0));
        let again = [
            (5, Kind::Order, 0),
            (2, Kind::Order, 7),
            (4, Kind::Order, 7),
            (5, Kind::Order, 7),
            (5, Kind::Resumed, 7),
        ];
        assert_eq!(written(&mut queue), again);

        queue.forget(4, Duration::MAX);
        assert_eq!(queue.forgotten.0, 0);
        queue.forget(4, Duration::ZERO);
        assert_eq!(queue.again(node(1), 8, 3, Duration::MAX), Some(1));
        assert_eq!(written(&mut queue), [(5, Kind::Order, 8), (5, Kind::Resumed, 8)]);
        assert_eq!(queue.again(node(1), 6, 0, Duration::ZERO), Some(0));
        assert_eq!(written(&mut queue), [(5, Kind::Resumed, 6)]);
        queue.forget(5, Duration::ZERO);
        assert!(queue.pop().is_none());
        assert_eq!((queue.entries.len(), queue.bytes), (0, 0));
    }

    #[test]
    fn is_bounded_in_bytes() {
        let mut queue = Queue::new(1000);
        queue.up();
        // Those that wait are not given up for others.
        for _ in 0..5 {
            order(&mut queue, To::All).unwrap();
        }
        assert_eq!(order(&mut queue, To::All), Err(Refused::Full(1000)));
        written(&mut queue);
        assert_eq!(order(&mut queue, To::All), Err(Refused::Full(1000)));
        // Those that everybody has got are.
        queue.taken(1);
        assert_eq!(order(&mut queue, To::All), Ok(6));
        assert_eq!(queue.again(node(1), 9, 0, Duration::MAX), Some(1));
        // But not while they may have been lost.
        queue.down();
        assert_eq!(order(&mut queue, To::All), Err(Refused::Full(1000)));
        queue.up();
        // One alone may be larger than all are to be.
        let mut queue = Queue::new(1000);
        queue.push(To::All, Kind::Order, Bytes::from(vec![0; 5000])).unwrap();
    }
}
