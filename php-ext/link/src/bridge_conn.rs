//! An established connection: writes what is queued, reads replies.

use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::error::describe;
use crate::queue::CallQueue;
use crate::read_buffer::ReadBuffer;
use crate::reply_reader::{ReceivedReply, ReplyReader};
use crate::stream::MaybeTlsStream;

/// A connection that lasted so long was a good one, even if nothing was confirmed on it.
const GOOD_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct BridgeConn {
    pub(crate) address: Address,
    wire: MaybeTlsStream,
    replies: ReplyReader,
    since: Instant,
    full: bool,
    /// Something was confirmed on it.
    useful: bool,
}

impl BridgeConn {
    /// `wire` is past the handshake and non-blocking; `replies` holds what came behind the handshake.
    pub(crate) fn new(
        address: Address,
        mut wire: MaybeTlsStream,
        mut replies: ReplyReader,
    ) -> io::Result<Self> {
        while wire.has_buffered_input() {
            replies.fill(&mut wire)?;
        }
        Ok(Self { address, wire, replies, since: Instant::now(), full: false, useful: false })
    }

    /// The wire, and what has been read of it and not been looked at.
    pub(crate) fn into_parts(self) -> (MaybeTlsStream, ReadBuffer) {
        (self.wire, self.replies.into_unread())
    }

    /// Whether to come back at once after losing it.
    pub(crate) fn was_good(&self) -> bool {
        self.useful || self.since.elapsed() >= GOOD_AFTER
    }

    pub(crate) fn proved_useful(&mut self) {
        self.useful = true;
    }

    /// The last write found no room.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// Writes once, many calls together. The error is in words.
    pub(crate) fn write(&mut self, queue: &mut CallQueue) -> Result<(), String> {
        self.full = false;
        let written = if queue.has_unsent() {
            queue.write(|slices| self.wire.write_vectored(slices)).map(drop)
        } else if self.wire.has_buffered_output() {
            self.wire.flush()
        } else {
            return Ok(());
        };
        match written {
            Ok(()) => {
                self.full = self.wire.has_buffered_output();
                Ok(())
            }
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
        match self.replies.fill(&mut self.wire) {
            Ok(0) => Err("the gateway closed it".to_owned()),
            // Whoever waits for the socket waits in vain for what has been read of it.
            Ok(_) if self.wire.has_buffered_input() => self.read().map(|_| true),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(describe(&error)),
        }
    }

    /// The next reply that has arrived whole. An answer may have `most` bytes.
    pub(crate) fn reply(&mut self, most: usize) -> Result<Option<ReceivedReply>, String> {
        self.replies.next_within(most).map_err(|error| error.to_string())
    }
}

impl AsRawFd for BridgeConn {
    fn as_raw_fd(&self) -> RawFd {
        self.wire.as_raw_fd()
    }
}
