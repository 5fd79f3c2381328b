//! What waits for a client whose socket takes no more for now.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};

use bytes::{Buf, Bytes};

/// Most slices that one vectored write is given.
const SLICES: usize = 64;

/// Empty, and without memory, unless the kernel has refused bytes.
#[derive(Default)]
pub(super) struct Outbox(Option<Box<Waiting>>);

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Bytes>,
    bytes: u32,
    /// The first has been written in part.
    is_begun: bool,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.bytes as usize)
    }

    pub(super) fn push(&mut self, frame: Bytes) {
        self.0.get_or_insert_default().push(frame);
    }

    /// The rest of a frame that the socket has taken in part.
    pub(super) fn push_rest(&mut self, rest: Bytes) {
        let waiting = self.0.get_or_insert_default();
        waiting.is_begun = true;
        waiting.push(rest);
    }

    /// Forgets what waits, but for the rest of a frame that has begun.
    pub(super) fn give_up(&mut self) {
        let begun = self.0.take().filter(|waiting| waiting.is_begun);
        if let Some(rest) = begun.and_then(|mut waiting| waiting.frames.pop_front()) {
            self.push_rest(rest);
        }
    }

    /// Writes until all is out or the socket takes no more.
    pub(super) fn write_to(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while let Some(waiting) = &mut self.0 {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            for (slice, frame) in slices.iter_mut().zip(&waiting.frames) {
                *slice = IoSlice::new(frame);
                used += 1;
            }
            match write_some(socket, &slices[..used])? {
                Some(written) => waiting.advance(written),
                None => return Ok(()),
            }
            if waiting.frames.is_empty() {
                self.0 = None;
            }
        }
        Ok(())
    }
}

impl Waiting {
    fn push(&mut self, frame: Bytes) {
        // Its bound is far below, and so is that of one frame.
        self.bytes += frame.len() as u32;
        self.frames.push_back(frame);
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written as u32;
        while let Some(frame) = self.frames.front_mut() {
            if written < frame.len() {
                self.is_begun |= written > 0;
                frame.advance(written);
                return;
            }
            written -= frame.len();
            self.is_begun = false;
            self.frames.pop_front();
        }
    }
}

/// One write; `None` when the socket takes nothing now.
pub(super) fn write_one(socket: &mut impl Write, bytes: &[u8]) -> io::Result<Option<usize>> {
    taken(|| socket.write(bytes), bytes.is_empty())
}

/// One vectored write; `None` when the socket takes nothing now.
pub(super) fn write_some(socket: &mut impl Write, slices: &[IoSlice]) -> io::Result<Option<usize>> {
    taken(|| socket.write_vectored(slices), slices.iter().all(|slice| slice.is_empty()))
}

fn taken(mut write: impl FnMut() -> io::Result<usize>, is_nothing: bool) -> io::Result<Option<usize>> {
    loop {
        return match write() {
            Ok(0) if !is_nothing => Err(ErrorKind::WriteZero.into()),
            Ok(written) => Ok(Some(written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, at most `at_once` a call, then would block.
    struct Socket {
        taken: Vec<u8>,
        room: usize,
        at_once: usize,
    }

    impl Write for Socket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.room).min(self.at_once);
            if length == 0 && !bytes.is_empty() {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.room -= length;
            self.taken.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_has_begun_is_finished_when_the_rest_is_given_up() {
        for (room, bytes, whole) in
            [(0, 3, "end"), (1, 6, "one end"), (4, 3, "one end"), (5, 6, "one two end")]
        {
            let mut outbox = Outbox::default();
            ["one ", "two ", "six "].iter().for_each(|frame| outbox.push(Bytes::from(*frame)));
            let mut socket = Socket { taken: Vec::new(), room, at_once: 9 };
            outbox.write_to(&mut socket).unwrap();
            outbox.give_up();
            outbox.push(Bytes::from("end"));
            assert_eq!(outbox.bytes(), bytes);
            socket.room = 100;
            outbox.write_to(&mut socket).unwrap();
            assert_eq!(socket.taken, whole.as_bytes());
        }
    }

    #[test]
    fn keeps_order_over_partial_writes() {
        let mut outbox = Outbox::default();
        let frames: Vec<_> = (0..200_u8).map(|i| Bytes::from(vec![i; usize::from(i) % 7])).collect();
        frames.iter().for_each(|frame| outbox.push(frame.clone()));
        let total = frames.iter().map(Bytes::len).sum::<usize>();
        let mut socket = Socket { taken: Vec::new(), room: 0, at_once: 3 };
        while !outbox.is_empty() {
            socket.room = 10;
            outbox.write_to(&mut socket).unwrap();
            assert_eq!(outbox.bytes() + socket.taken.len(), total);
        }
        assert_eq!(socket.taken, frames.concat());
        assert_eq!(outbox.bytes(), 0);
    }
}
