//! A connection from PHP over TCP, TLS or a unix socket, and its slot among all of them.

use std::io::{self, Read as _};
use std::os::fd::AsFd;

use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::net::{Permit, Permits, RateLimitKey};

/// The slots for PHP connections, on all register ports together.
pub type ConnectionSlots = Permits<RateLimitKey>;
/// The slot of one connection, which a new connection may take until this one has proved itself: by its login, or by one complete
/// command when the server has no secret.
pub(super) type ConnectionSlot = Permit<RateLimitKey>;

/// A connection from PHP over any transport.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Reads from the system at once, without tokio's readiness. Gives `WouldBlock` when there is nothing.
    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Gives a second handle of the same socket.
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
