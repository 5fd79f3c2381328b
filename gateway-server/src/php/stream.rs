//! A connection from PHP, whatever carries it, and its place among all of them.

use std::io::{self, Read as _};
use std::os::fd::AsFd;

use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::net::{Permit, Permits, RateLimitKey};

/// Connections that there may be, for all ports together.
pub type ConnectionSlots = Permits<RateLimitKey>;
/// The place of one connection, which has proved itself once it has logged in, or, where there is no secret, has said something whole.
pub(super) type ConnectionSlot = Permit<RateLimitKey>;

/// A connection from PHP, of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Asks the system at once, whatever is known of the socket. `WouldBlock` when there is nothing.
    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Another handle of the same socket.
    fn duplicate(&self) -> io::Result<Socket>;
}

impl<T: AsFd + AsyncRead + AsyncWrite + Send + Unpin> Stream for T {
    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*SockRef::from(self)).read(buffer)
    }

    fn duplicate(&self) -> io::Result<Socket> {
        SockRef::from(self).try_clone()
    }
}
