//! An established connection: writes what is queued, reads replies.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use gateway_wire::bridge::Reply;
use gateway_wire::bridge::frame::MAX_REPLY;
use socket2::Socket;

use crate::Address;
use crate::error::describe;
use crate::fork::Watched;
use crate::queue::Queue;
use crate::replies::Replies;

/// A connection that lasted so long was a good one, even if nothing was confirmed on it.
const GOOD: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) address: Address,
    socket: Watched<Socket>,
    replies: Replies,
    since: Instant,
    /// Memory for the next write.
    gathered: Vec<u8>,
    /// The socket takes no more bytes for now.
    full: bool,
    /// Something was confirmed on it.
    useful: bool,
}

impl Connection {
    /// `socket` is past the handshake and non-blocking; `replies` holds what came behind the handshake.
    pub(crate) fn new(address: Address, socket: Watched<Socket>, replies: Replies) -> Self {
        Self {
            address,
            socket,
            replies,
            since: Instant::now(),
            gathered: Vec::new(),
            full: false,
            useful: false,
        }
    }

    /// Whether to come back at once after losing it.
    pub(crate) fn was_good(&self) -> bool {
        self.useful || self.since.elapsed() >= GOOD
    }

    pub(crate) fn proved_useful(&mut self) {
        self.useful = true;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) fn has_room(&mut self) {
        self.full = false;
    }

    /// Writes once, many frames together. The error is in words.
    pub(crate) fn write(&mut self, queue: &mut Queue) -> Result<(), String> {
        match (&*self.socket).write(queue.unsent(&mut self.gathered)) {
            Ok(written) => queue.wrote(written),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => self.full = true,
                io::ErrorKind::Interrupted => {}
                _ => return Err(describe(&error)),
            },
        }
        Ok(())
    }

    /// Reads once. The error is in words.
    pub(crate) fn read(&mut self) -> Result<(), String> {
        match self.replies.fill(&mut &*self.socket) {
            Ok(0) => Err("the gateway closed it".to_owned()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(describe(&error)),
        }
    }

    /// The next reply that has arrived whole.
    pub(crate) fn reply(&mut self) -> Result<Option<Reply>, String> {
        self.replies.next(MAX_REPLY).map_err(|error| error.to_string())
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
