//! What waits for the clients of a shard, at what it costs in memory.

use bytes::Bytes;
use hashbrown::HashMap;

/// Bytes that the allocator and the count of its holders add to a frame, about.
pub(super) const ALLOCATION: usize = 64;

/// The memory of all outboxes of a shard. A frame that waits for many clients is there once, and costs once; each client's
/// place for it in its queue is that client's.
#[derive(Default)]
pub(super) struct Held {
    /// How many queues hold a frame, and its length, by the address of its bytes.
    frames: HashMap<usize, (u32, usize)>,
    bytes: usize,
}

impl Held {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// One more queue holds the frame.
    pub(super) fn add(&mut self, frame: &Bytes) {
        let (holders, _) = self.frames.entry(frame.as_ptr() as usize).or_insert((0, frame.len()));
        *holders += 1;
        if *holders == 1 {
            self.bytes += frame.len() + ALLOCATION;
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
            // Give memory back after a peak.
            if self.frames.len() < self.frames.capacity() / 8 {
                self.frames.shrink_to_fit();
            }
        }
    }

    /// What one client alone holds has become more or less.
    pub(super) fn change(&mut self, before: usize, after: usize) {
        self.bytes = self.bytes - before + after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_frame_costs_once() {
        let mut held = Held::default();
        let (one, other) = (Bytes::from(vec![1; 1000]), Bytes::from(vec![2; 10]));
        held.add(&one);
        let of_one = held.bytes();
        assert!((1000..1100).contains(&of_one));
        held.add(&one.clone());
        assert_eq!(held.bytes(), of_one);
        held.add(&other);
        held.change(0, 7);
        // The same bytes, without the last: how long it was when it came counts.
        held.remove(&one.slice(..999));
        held.remove(&one);
        held.remove(&other);
        assert_eq!(held.bytes(), 7);
        assert!(held.frames.is_empty());
    }
}
