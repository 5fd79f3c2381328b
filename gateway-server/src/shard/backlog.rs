//! What waits for the clients of a shard, at what it costs in memory.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;

pub(super) use super::total_backlog::ALLOCATION;
use super::total_backlog::TotalBacklog;

/// The memory of all outboxes of a shard, and its part of the [`TotalBacklog`]. A frame that waits for many clients is there once,
/// and costs once; each client's place for it in its queue is that client's.
#[derive(Default)]
pub(super) struct Backlog {
    /// How many queues hold a frame, and its length, by the address of its bytes.
    frames: HashMap<usize, (u32, usize)>,
    bytes: usize,
    /// What clients alone hold, as far as the total does not know of it yet.
    untold: isize,
    total: Arc<TotalBacklog>,
}

impl Backlog {
    pub(super) fn new(total: Arc<TotalBacklog>) -> Self {
        Self { total, ..Self::default() }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn total(&self) -> &TotalBacklog {
        &self.total
    }

    /// One more queue holds the frame.
    pub(super) fn add(&mut self, frame: &Bytes) {
        let (holders, _) = self.frames.entry(frame.as_ptr() as usize).or_insert((0, frame.len()));
        *holders += 1;
        if *holders == 1 {
            self.bytes += frame.len() + ALLOCATION;
            self.total.add(frame);
        }
    }

    /// One queue less holds it, which still has it while this is said.
    pub(super) fn remove(&mut self, frame: &Bytes) {
        let address = frame.as_ptr() as usize;
        let Some((holders, length)) = self.frames.get_mut(&address) else { return };
        *holders -= 1;
        if *holders == 0 {
            self.bytes -= *length + ALLOCATION;
            self.frames.remove(&address);
            self.total.remove(address);
            // Give memory back after a peak.
            if self.frames.len() < self.frames.capacity() / 8 {
                self.frames.shrink_to_fit();
            }
        }
    }

    /// What one client alone holds has become more or less.
    pub(super) fn change(&mut self, before: usize, after: usize) {
        self.bytes = self.bytes - before + after;
        self.untold += after as isize - before as isize;
    }

    /// Tells the total what has changed, once for many changes.
    pub(super) fn tell(&mut self) {
        if self.untold != 0 {
            self.total.change(std::mem::take(&mut self.untold));
        }
    }

    /// One holder's part of a frame.
    pub(super) fn part_of(&self, frame: &Bytes) -> usize {
        let held = self.frames.get(&(frame.as_ptr() as usize));
        held.map_or(0, |(holders, length)| (length + ALLOCATION) / *holders as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_frame_costs_once() {
        let mut held = Backlog::default();
        let (one, other) = (Bytes::from(vec![1; 1000]), Bytes::from(vec![2; 10]));
        held.add(&one);
        let of_one = held.bytes();
        assert!((1000..1100).contains(&of_one));
        held.add(&one.clone());
        assert_eq!((held.bytes(), held.part_of(&one)), (of_one, of_one / 2));
        held.add(&other);
        held.change(0, 7);
        assert_eq!(held.total().bytes(), held.bytes() - 7);
        held.tell();
        assert_eq!(held.total().bytes(), held.bytes());
        // The same bytes, without the last: how long it was when it came counts.
        held.remove(&one.slice(..999));
        held.remove(&one);
        held.remove(&other);
        assert_eq!((held.bytes(), held.total().bytes()), (7, 7));
        assert!(held.frames.is_empty());
    }
}
