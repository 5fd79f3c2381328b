//! The chunks of many packed outboxes. A message to many waits in thousands of outboxes, of which each has a reference of 32 bytes; here it
//! is once, and a chunk takes four bytes.

use bytes::Bytes;
use hashbrown::HashMap;

use super::packed_bytes::PackedBytes;

/// In the number of a chunk, the mark of small frames that are joined: the rest of the number is their length. Without it the number is the
/// index of a frame.
const JOINED: u32 = 1 << 31;

/// Chunks that are taken out in the order in which they were put in.
#[derive(Default)]
pub(super) struct PackedChunks {
    numbers: Vec<u32>,
    /// The number of chunks that were taken.
    taken: usize,
    frames: Vec<Bytes>,
    /// The index of each frame, by its address and length. All of them stay as long as this, so an address names one.
    indexes: HashMap<(usize, usize), u32>,
    joined: PackedBytes,
}

/// A chunk as it is taken out.
pub(super) enum PackedChunk<'p> {
    /// One frame, the bytes of which other outboxes may hold too.
    Frame(Bytes),
    /// Small frames that are joined.
    Joined(&'p [u8]),
}

impl PackedChunks {
    pub(super) fn push_frame(&mut self, frame: Bytes) {
        let address = (frame.as_ptr() as usize, frame.len());
        let index = *self.indexes.entry(address).or_insert_with(|| {
            self.frames.push(frame);
            self.frames.len() as u32 - 1
        });
        self.numbers.push(index);
    }

    pub(super) fn push_joined(&mut self, frames: &[u8]) {
        self.joined.push(frames);
        self.numbers.push(JOINED | frames.len() as u32);
    }

    /// Takes the next chunk.
    pub(super) fn take(&mut self) -> Option<PackedChunk<'_>> {
        let number = *self.numbers.get(self.taken)?;
        self.taken += 1;
        if number & JOINED != 0 {
            return Some(PackedChunk::Joined(self.joined.take((number & !JOINED) as usize)));
        }
        self.frames.get(number as usize).cloned().map(PackedChunk::Frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_out_in_their_order_and_a_frame_is_there_once() {
        let (to_many, other) = (Bytes::from(vec![1; 1000]), Bytes::from(vec![1; 1000]));
        let mut packed = PackedChunks::default();
        for _ in 0..1000 {
            packed.push_frame(to_many.clone());
            packed.push_joined(b"small");
            packed.push_joined(b"");
        }
        packed.push_frame(to_many.slice(..999));
        packed.push_frame(other.clone());
        assert_eq!((packed.frames.len(), packed.numbers.len()), (3, 3002));
        let mut next = || match packed.take() {
            Some(PackedChunk::Frame(frame)) => Some((frame.as_ptr(), frame.len())),
            Some(PackedChunk::Joined(frames)) => {
                assert!(frames.is_empty() || frames == b"small");
                Some((std::ptr::null(), frames.len()))
            }
            None => None,
        };
        for _ in 0..1000 {
            assert_eq!(next(), Some((to_many.as_ptr(), 1000)));
            assert_eq!([next(), next()], [Some((std::ptr::null(), 5)), Some((std::ptr::null(), 0))]);
        }
        assert_eq!(next(), Some((to_many.as_ptr(), 999)));
        assert_eq!([next(), next()], [Some((other.as_ptr(), 1000)), None]);
    }
}
