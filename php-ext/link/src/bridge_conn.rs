//! An established connection to gateway-server: it writes what is queued, and reads replies.

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
    stream: MaybeTlsStream,
    replies: ReplyReader,
    since: Instant,
    full: bool,
    /// The gateway has confirmed something on this connection.
    useful: bool,
}

impl BridgeConn {
    /// `stream` is past the handshake and non-blocking; `replies` holds what came behind the handshake.
    pub(crate) fn new(
        address: Address,
        mut stream: MaybeTlsStream,
        mut replies: ReplyReader,
    ) -> io::Result<Self> {
        while stream.has_buffered_input() {
            replies.fill(&mut stream)?;
        }
        Ok(Self { address, stream, replies, since: Instant::now(), full: false, useful: false })
    }

    /// Gives the stream, and the bytes that were read from it and not decoded.
    pub(crate) fn into_parts(self) -> (MaybeTlsStream, ReadBuffer) {
        (self.stream, self.replies.into_unread())
    }

    /// Whether the engine should reconnect at once after it has lost this connection.
    pub(crate) fn was_good(&self) -> bool {
        self.useful || self.since.elapsed() >= GOOD_AFTER
    }

    pub(crate) fn proved_useful(&mut self) {
        self.useful = true;
    }

    /// Whether the last write found the socket full.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// Writes once, many calls together. The error is in words.
    pub(crate) fn write(&mut self, queue: &mut CallQueue) -> Result<(), String> {
        self.full = false;
        let written = if queue.has_unsent() {
            queue.write(|slices| self.stream.write_vectored(slices)).map(drop)
        } else if self.stream.has_buffered_output() {
            self.stream.flush()
        } else {
            return Ok(());
        };
        match written {
            Ok(()) => {
                self.full = self.stream.has_buffered_output();
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

    /// Reads once, if there is something, and gives whether there was. The error is in words.
    pub(crate) fn read(&mut self) -> Result<bool, String> {
        match self.replies.fill(&mut self.stream) {
            Ok(0) => Err("the gateway closed it".to_owned()),
            // Bytes that are buffered here would never make the socket readable, so they are read now.
            Ok(_) if self.stream.has_buffered_input() => self.read().map(|_| true),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(describe(&error)),
        }
    }

    /// Gives the next reply that has arrived whole. An answer may have `most` bytes at most.
    pub(crate) fn reply(&mut self, most: usize) -> Result<Option<ReceivedReply>, String> {
        self.replies.next_within(most).map_err(|error| error.to_string())
    }
}

impl AsRawFd for BridgeConn {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}
