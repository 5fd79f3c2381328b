//! The bytes of many small things, one behind the other in large blocks. Each small allocation of its own costs 16 bytes and more, and
//! one that stays keeps its page from going back to the system.

use std::collections::VecDeque;

/// The size of a block in bytes. Blocks of this size are mapped one by one, and take no memory before they are filled.
const BLOCK: usize = 1 << 20;

/// Bytes that are taken out in the order in which they were put in.
#[derive(Default)]
pub(super) struct PackedBytes {
    blocks: VecDeque<Vec<u8>>,
    /// The bytes of the first block that were taken.
    taken: usize,
}

impl PackedBytes {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if let Some(block) = self.blocks.back_mut()
            && block.capacity() - block.len() >= bytes.len()
        {
            return block.extend_from_slice(bytes);
        }
        let mut block = Vec::with_capacity(BLOCK.max(bytes.len()));
        block.extend_from_slice(bytes);
        self.blocks.push_back(block);
    }

    /// Takes the next bytes, of which the caller knows the length.
    pub(super) fn take(&mut self, length: usize) -> &[u8] {
        // What was pushed at once is in one block, and a block goes as soon as all of it was taken.
        if self.blocks.front().is_some_and(|block| self.taken == block.len()) {
            self.blocks.pop_front();
            self.taken = 0;
        }
        let from = self.taken;
        let bytes = self.blocks.front().and_then(|block| block.get(from..from + length));
        self.taken += bytes.map_or(0, <[u8]>::len);
        bytes.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_their_order_and_blocks_go_with_their_last() {
        let lengths = [0, 1, BLOCK - 1, 0, 1, 2 * BLOCK, 7, BLOCK, 0];
        let mut packed = PackedBytes::default();
        lengths.iter().zip(1..).for_each(|(length, byte)| packed.push(&vec![byte; *length]));
        for (length, byte) in lengths.iter().zip(1..) {
            assert!(packed.take(*length) == vec![byte; *length], "{length} bytes");
        }
        assert!(packed.blocks.len() <= 1 && packed.take(1).is_empty());
    }
}
