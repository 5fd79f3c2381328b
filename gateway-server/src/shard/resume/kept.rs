//! The frames that were sent to clients of the subprotocol `gateway.2`, kept until these say that they have seen them.

use bytes::Bytes;
use slab::Slab;

use super::super::total_backlog::ALLOCATION;

/// The frames that a shard keeps. Each stands here once, however many clients have not seen it.
#[derive(Default)]
pub(in crate::shard) struct KeptFrames {
    frames: Slab<KeptFrame>,
    /// The memory of the frames, and of the lists in which clients name them, in bytes.
    bytes: usize,
}

/// A frame, and the number of those who hold it.
struct KeptFrame {
    bytes: Bytes,
    holders: u32,
}

impl KeptFrames {
    /// The memory of everything that is kept, in bytes.
    pub(in crate::shard) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a frame, which the caller then holds.
    pub(super) fn insert(&mut self, bytes: Bytes) -> u32 {
        self.bytes += cost(&bytes);
        self.frames.insert(KeptFrame { bytes, holders: 1 }) as u32
    }

    /// Counts one more holder.
    pub(super) fn hold(&mut self, frame: u32) {
        if let Some(kept) = self.frames.get_mut(frame as usize) {
            kept.holders += 1;
        }
    }

    /// Counts one holder less. Gives what the frame weighs for a client, in bytes.
    pub(in crate::shard) fn release(&mut self, frame: u32) -> usize {
        let Some(kept) = self.frames.get_mut(frame as usize) else { return 0 };
        let weight = cost(&kept.bytes);
        kept.holders -= 1;
        if kept.holders == 0 {
            self.frames.remove(frame as usize);
            self.bytes -= weight;
            // Memory is given back after a peak.
            if self.frames.is_empty() {
                self.frames.shrink_to_fit();
            }
        }
        weight
    }

    pub(super) fn frame(&self, frame: u32) -> Option<&Bytes> {
        self.frames.get(frame as usize).map(|kept| &kept.bytes)
    }

    /// Counts that the list of a client takes `after` bytes, where it took `before`.
    pub(super) fn change(&mut self, before: usize, after: usize) {
        self.bytes = self.bytes + after - before;
    }
}

/// What a kept frame takes in memory, in bytes.
pub(super) fn cost(frame: &Bytes) -> usize {
    frame.len() + ALLOCATION + size_of::<KeptFrame>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_there_as_long_as_somebody_holds_it_and_counts_once() {
        let mut kept = KeptFrames::default();
        let frame = kept.insert(Bytes::from(vec![0; 1000]));
        (0..99).for_each(|_| kept.hold(frame));
        let alone = kept.bytes();
        assert!((1000..1200).contains(&alone), "{alone}");
        (0..99).for_each(|_| assert_eq!(kept.release(frame), alone));
        assert_eq!((kept.bytes(), kept.frame(frame).map(Bytes::len)), (alone, Some(1000)));
        kept.release(frame);
        assert_eq!((kept.bytes(), kept.frame(frame)), (0, None));
    }
}
