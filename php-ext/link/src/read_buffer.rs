//! Bytes that have arrived and are not decoded yet. The buffer grows by what has arrived, never by what a length claims.

use std::io::{self, Read};

/// The most bytes that one read takes.
pub(crate) const READ_BYTES: usize = 16 << 10;
/// Bytes of memory that are kept for what arrives next.
const KEPT_BYTES: usize = 256 << 10;

#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    buffer: Vec<u8>,
    start: usize,
}

impl ReadBuffer {
    /// Reads once. 0 means that the connection has ended.
    pub(crate) fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        let mut chunk = [0; READ_BYTES];
        let read = loop {
            match source.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            self.buffer.shrink_to(KEPT_BYTES);
        } else if self.start > KEPT_BYTES {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(read)
    }

    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Takes out so many of the unread bytes.
    pub(crate) fn take(&mut self, length: usize) -> &[u8] {
        let start = self.start;
        self.start = (start + length).min(self.buffer.len());
        &self.buffer[start..self.start]
    }

    /// Does the same, without a copy where the bytes are many and all that there is.
    pub(crate) fn take_owned(&mut self, length: usize) -> Vec<u8> {
        if self.start == 0 && self.buffer.len() == length && length > KEPT_BYTES {
            return std::mem::take(&mut self.buffer);
        }
        self.take(length).to_vec()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}
