//! A connection from PHP over TCP, TLS or a unix socket, and its slot among all of them.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use socket2::{Domain, SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

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

    /// Whether another process could go on with the socket alone.
    fn can_travel(&self) -> bool;

    /// Gives a second handle of the same socket.
    fn duplicate(&self) -> io::Result<Socket>;
}

impl<T: AsFd + AsyncRead + AsyncWrite + Send + Unpin> Stream for T {
    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*SockRef::from(self)).read(buffer)
    }

    fn can_travel(&self) -> bool {
        true
    }

    fn duplicate(&self) -> io::Result<Socket> {
        SockRef::from(self).try_clone()
    }
}

/// A connection from PHP as it was accepted.
pub(super) enum Incoming {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Incoming {
    /// Goes on with a socket that was one of these before.
    pub(super) fn again(descriptor: OwnedFd) -> io::Result<Self> {
        let socket = SockRef::from(&descriptor);
        socket.set_nonblocking(true)?;
        if socket.domain()? == Domain::UNIX {
            UnixStream::from_std(descriptor.into()).map(Self::Unix)
        } else {
            TcpStream::from_std(descriptor.into()).map(Self::Tcp)
        }
    }

    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        match self {
            Self::Tcp(socket) => Box::new(socket),
            Self::Unix(socket) => Box::new(socket),
        }
    }
}

/// The key by which the slots count connections that have not logged in. Connections from this machine have no share to exceed, as
/// PHP itself runs here.
pub(super) fn rate_limit_key(peer: Option<SocketAddr>) -> Option<RateLimitKey> {
    let other_machine = peer.map(|peer| peer.ip().to_canonical()).filter(|address| !address.is_loopback());
    other_machine.map(RateLimitKey::of)
}
