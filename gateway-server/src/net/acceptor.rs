//! A listening socket that gives connections which the runtime does not poll yet.

use std::io;
use std::net::{SocketAddr, TcpStream};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpListener;

/// A listening socket. A connection that it accepts is in non-blocking mode, and costs no system call beside the accept.
pub struct Acceptor(AsyncFd<mio::net::TcpListener>);

impl Acceptor {
    #[allow(unsafe_code)]
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        let listener = mio::net::TcpListener::from_std(listener.into_std()?);
        // SAFETY: the listener owns its descriptor, and nothing here replaces or closes either.
        Ok(Self(unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) }?))
    }

    /// Waits for the next connection.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.0.async_io(Interest::READABLE, mio::net::TcpListener::accept).await?;
        Ok((socket.into(), peer))
    }
}
