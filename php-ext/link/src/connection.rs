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
use crate::inbox::Inbox;
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
    full: bool,
    /// Something was confirmed on it.
    useful: bool,
}

impl Connection {
    /// `socket` is past the handshake and non-blocking; `replies` holds what came behind the handshake.
    pub(crate) fn new(address: Address, socket: Watched<Socket>, replies: Replies) -> Self {
        Self { address, socket, replies, since: Instant::now(), full: false, useful: false }
    }

    /// The socket, and what has been read of it and not been looked at.
    pub(crate) fn into_parts(self) -> (Watched<Socket>, Inbox) {
        (self.socket, self.replies.into_unread())
    }

    /// Whether to come back at once after losing it.
    pub(crate) fn was_good(&self) -> bool {
        self.useful || self.since.elapsed() >= GOOD
    }

    pub(crate) fn proved_useful(&mut self) {
        self.useful = true;
    }

    /// The last write found no room.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// Writes once, many calls together. The error is in words.
    pub(crate) fn write(&mut self, queue: &mut Queue) -> Result<(), String> {
        self.full = false;
        if !queue.has_unsent() {
            return Ok(());
        }
        match queue.write(|slices| (&*self.socket).write_vectored(slices)) {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.full = true;
                    Ok(())
                }
                io::ErrorKind::Interrupted => Ok(()),
                _ => Err(describe(&error)),
            },
        }
    }

    /// Reads once, if there is something. The error is in words.
    pub(crate) fn read(&mut self) -> Result<bool, String> {
        match self.replies.fill(&mut &*self.socket) {
            Ok(0) => Err("the gateway closed it".to_owned()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
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
