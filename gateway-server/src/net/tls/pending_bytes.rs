//! Bytes that wait to be taken, from the front.

/// Bytes that wait to be taken. It has memory only while some do.
#[derive(Default)]
pub(super) struct PendingBytes {
    bytes: Vec<u8>,
    /// The number of bytes at the front that are taken.
    taken: usize,
}

impl PendingBytes {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes that are not taken yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The end of the bytes, to which more can be appended. What is there already must stay.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Takes this many bytes from the front, or all if there are fewer.
    pub(super) fn take(&mut self, length: usize) {
        self.taken += length;
        if self.taken >= self.bytes.len() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_in_order_and_leave_no_memory() {
        let mut pending = PendingBytes::default();
        pending.push(b"abc");
        pending.take(1);
        pending.tail().push(b'd');
        assert_eq!(pending.rest(), b"bcd");
        pending.take(2);
        assert_eq!(pending.rest(), b"d");
        pending.take(5);
        assert!(pending.is_empty() && pending.rest().is_empty());
        assert_eq!(pending.bytes.capacity(), 0);
    }
}
