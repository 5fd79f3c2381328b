//! A client's socket during its handshake, which the runtime gets to know only once somebody has to wait for it.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream as StdTcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A client's socket. What the client has sent before its connection is accepted is read without asking the runtime, which saves
/// most handshakes the system calls by which the runtime polls a socket and stops polling it.
pub(super) enum ClientSocket {
    /// Nobody has waited for the socket yet. It is `None` after the runtime could not take it.
    New(Option<StdTcpStream>),
    /// Somebody has waited, so the runtime polls the socket.
    Polled(TcpStream),
}

impl ClientSocket {
    /// A socket, which must be in non-blocking mode.
    pub(super) fn new(socket: StdTcpStream) -> Self {
        Self::New(Some(socket))
    }

    /// Has the runtime poll the socket, unless it does already.
    pub(super) fn polled(&mut self) -> io::Result<&mut TcpStream> {
        if let Self::New(socket) = self {
            let socket = socket.take().ok_or(ErrorKind::NotConnected)?;
            *self = Self::Polled(TcpStream::from_std(socket)?);
        }
        match self {
            Self::Polled(socket) => Ok(socket),
            Self::New(_) => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Gives the socket, which the runtime does not poll any more.
    pub(super) fn into_std(self) -> io::Result<StdTcpStream> {
        match self {
            Self::New(socket) => socket.ok_or_else(|| ErrorKind::NotConnected.into()),
            Self::Polled(socket) => socket.into_std(),
        }
    }

    /// Does `now` with a socket that the runtime does not poll. Gives `None` if that would have to wait, or if the runtime polls it.
    fn at_once<T>(&self, now: impl FnOnce(&StdTcpStream) -> io::Result<T>) -> Option<io::Result<T>> {
        let Self::New(Some(socket)) = self else { return None };
        Some(now(socket)).filter(|done| !matches!(done, Err(error) if error.kind() == ErrorKind::WouldBlock))
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if let Some(read) = socket.at_once(|mut socket| socket.read(buffer.initialize_unfilled())) {
            return Poll::Ready(read.map(|length| buffer.advance(length)));
        }
        Pin::new(socket.polled()?).poll_read(context, buffer)
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        match socket.at_once(|mut socket| socket.write(bytes)) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(socket.polled()?).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket keeps nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if let Some(shut) = socket.at_once(|socket| socket.shutdown(Shutdown::Write)) {
            return Poll::Ready(shut);
        }
        Pin::new(socket.polled()?).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Ipv4Addr, TcpListener};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn the_runtime_polls_a_socket_only_once_somebody_waits_for_it() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = StdTcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut socket = ClientSocket::new(socket);
        client.write_all(b"early").unwrap();
        // Over loopback the bytes have come when the write returns.
        let mut read = [0; 16];
        assert_eq!(socket.read(&mut read).await.unwrap(), 5);
        socket.write_all(b"answer").await.unwrap();
        assert!(matches!(socket, ClientSocket::New(Some(_))));
        let (late, read) = tokio::join!(
            async {
                tokio::task::yield_now().await;
                client.write_all(b"late")
            },
            socket.read(&mut read)
        );
        late.unwrap();
        assert_eq!(read.unwrap(), 4);
        assert!(matches!(socket, ClientSocket::Polled(_)));
        assert!(socket.into_std().is_ok());
    }
}
