//! The bytes of many clients, each written once however many of them hold it. Buffers are numbered in the order in which they are
//! written, from 0 on.

use bytes::Bytes;
use hashbrown::HashMap;

use super::malformed::MalformedBatch;
use crate::system::memory_reserve;

/// The numbers of the buffers that are written. All buffers stay in memory as long as this, so an address names one.
#[derive(Default)]
pub(super) struct WrittenBuffers {
    /// The number of each shared buffer, by its address and length.
    numbers: HashMap<(usize, usize), u32>,
    next: u32,
    /// The buffers that have a number and are not written yet, in the order of their numbers.
    unwritten: Vec<Bytes>,
}

impl WrittenBuffers {
    /// The number of a buffer that others may hold too.
    pub(super) fn shared(&mut self, bytes: &Bytes) -> u32 {
        let address = (bytes.as_ptr() as usize, bytes.len());
        if let Some(number) = self.numbers.get(&address) {
            return *number;
        }
        let number = self.own(bytes.clone());
        self.numbers.insert(address, number);
        number
    }

    /// The number of a buffer that nobody else holds.
    pub(super) fn own(&mut self, bytes: Bytes) -> u32 {
        self.unwritten.push(bytes);
        self.next += 1;
        self.next - 1
    }

    /// The buffers to write before whatever names them.
    pub(super) fn take_unwritten(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.unwritten)
    }
}

/// The buffers that were read.
#[derive(Default)]
pub(super) struct ReadBuffers {
    buffers: Vec<Bytes>,
    /// The pieces of the next buffer that have come.
    begun: Vec<u8>,
}

impl ReadBuffers {
    /// Takes a piece of the next buffer.
    pub(super) fn piece(&mut self, bytes: Vec<u8>, is_last: bool) -> Result<(), MalformedBatch> {
        if self.begun.is_empty() {
            self.begun = bytes;
        } else {
            memory_reserve::append(&mut self.begun, &bytes)?;
        }
        if is_last {
            let mut whole = std::mem::take(&mut self.begun);
            whole.shrink_to_fit();
            self.buffers.push(whole.into());
        }
        Ok(())
    }

    /// A buffer that others may hold too.
    pub(super) fn shared(&self, number: u32) -> Result<Bytes, MalformedBatch> {
        self.buffers.get(number as usize).cloned().ok_or(MISSING)
    }

    /// A buffer that nobody else holds. It is not kept here any longer.
    pub(super) fn own(&mut self, number: u32) -> Result<Bytes, MalformedBatch> {
        self.buffers.get_mut(number as usize).map(std::mem::take).ok_or(MISSING)
    }
}

const MISSING: MalformedBatch = MalformedBatch::Contradiction("a buffer is missing");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_written_once_and_stands_once_in_memory() {
        let mut written = WrittenBuffers::default();
        let (one, other) = (Bytes::from(vec![1; 10]), Bytes::from(vec![1; 10]));
        let numbers = [&one, &other, &one.clone()].map(|bytes| written.shared(bytes));
        assert_eq!((numbers, written.own(one.clone())), ([0, 1, 0], 2));
        let mut read = ReadBuffers::default();
        for bytes in written.take_unwritten() {
            let (first, last) = bytes.split_at(4);
            read.piece(first.to_vec(), false).unwrap();
            read.piece(last.to_vec(), true).unwrap();
        }
        assert!(written.take_unwritten().is_empty());
        assert_eq!(read.shared(0).unwrap().as_ptr(), read.shared(0).unwrap().as_ptr());
        assert_eq!((read.own(2).unwrap(), read.own(2).unwrap()), (one, Bytes::new()));
        assert!(read.shared(3).is_err() && read.own(3).is_err());
    }
}
