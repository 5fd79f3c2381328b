//! The bytes that wait for the clients of one shard, counted at what they cost in memory.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;

pub(super) use super::total_backlog::ALLOCATION;
use super::total_backlog::TotalBacklog;

/// Counts the memory of all outboxes of one shard, and reports it to the [`TotalBacklog`] of all shards. A frame that waits for
/// many clients is in memory once and counts once; the slot that refers to it in each client's queue counts for that client.
#[derive(Default)]
pub(super) struct Backlog {
    /// For each frame, by the address of its bytes: how many queues of this shard hold it, and its length in bytes.
    frames: HashMap<usize, (u32, usize)>,
    /// The memory of all frames, and of what each client holds alone, in bytes.
    bytes: usize,
    /// The change in what clients hold alone that the total does not know yet, in bytes.
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

    /// Counts one more queue that holds the frame.
    pub(super) fn add(&mut self, frame: &Bytes) {
        let (holders, _) = self.frames.entry(frame.as_ptr() as usize).or_insert((0, frame.len()));
        *holders += 1;
        if *holders == 1 {
            self.bytes += frame.len() + ALLOCATION;
            self.total.add(frame);
        }
    }

    /// Counts one queue less that holds the frame. The caller still holds the frame, so that its address is not in use for
    /// another one.
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

    /// Counts that a client holds `after` bytes for itself alone, where it held `before`.
    pub(super) fn change(&mut self, before: usize, after: usize) {
        self.bytes = self.bytes - before + after;
        self.untold += after as isize - before as isize;
    }

    /// Reports to the total what [`Backlog::change`] has counted, once for many changes, as the total is shared by all shards.
    pub(super) fn tell(&mut self) {
        if self.untold != 0 {
            self.total.change(std::mem::take(&mut self.untold));
        }
    }

    /// One holder's share of a frame's memory, in bytes: the whole cost divided by the number of queues that hold the frame.
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
        // The length that counts is the one that the frame had when it was added, so the last byte may be missing here.
        held.remove(&one.slice(..999));
        held.remove(&one);
        held.remove(&other);
        assert_eq!((held.bytes(), held.total().bytes()), (7, 7));
        assert!(held.frames.is_empty());
    }
}
