//! A TLS session over a socket of the runtime: its handshake, and what is read and written before a shard has the session.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::session::TlsSession;

/// A socket with a TLS session behind its handshake.
pub struct TlsStream<S> {
    socket: S,
    session: Box<TlsSession>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Does the handshake with a client. A client whose handshake fails has been told by an alert, as far as its socket took it at once;
    /// the socket is given back.
    pub async fn accept(socket: S, config: Arc<ServerConfig>) -> Result<Self, (io::Error, S)> {
        let session = match TlsSession::new(config) {
            Ok(session) => Box::new(session),
            Err(error) => return Err((io::Error::other(error), socket)),
        };
        let mut stream = Self { socket, session };
        match std::future::poll_fn(|context| stream.poll_handshake(context)).await {
            Ok(()) => Ok(stream),
            Err(error) => Err((error, stream.socket)),
        }
    }

    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.is_handshaking() {
            ready!(self.poll_send(context))?;
            ready!(self.poll_receive(context, &mut []))?;
            if self.session.has_ended() {
                let error = io::Error::new(ErrorKind::UnexpectedEof, "the peer has closed");
                return Poll::Ready(Err(error));
            }
        }
        self.poll_send(context)
    }

    /// Reads the socket once. What TLS has to send of itself is sent as far as the socket takes it, and later else.
    fn poll_receive(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let received = self.session.receive(&mut Polled { socket: &mut self.socket, context }, into);
        if !matches!(&received, Err(error) if error.kind() == ErrorKind::WouldBlock) {
            let _ = self.poll_send(context);
        }
        poll(received)
    }

    /// Writes everything that is encrypted.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            if ready!(poll(self.session.send(&mut Polled { socket: &mut self.socket, context })))? == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives the socket and the session. Bytes of both directions may wait in the session.
    pub fn into_parts(self) -> (S, Box<TlsSession>) {
        (self.socket, self.session)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    /// A client that closes the connection without ending TLS, as many do, has ended as well.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        let room = buffer.initialize_unfilled();
        let mut length = stream.session.read_decrypted(room);
        while length == 0 && !room.is_empty() && !stream.session.has_ended() {
            length = ready!(stream.poll_receive(context, room))?;
        }
        buffer.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        ready!(stream.poll_send(context))?;
        let length = stream.session.write(&[IoSlice::new(bytes)])?;
        // What the socket does not take now is sent with the next write or flush, which also tell of an error.
        let _ = stream.poll_send(context);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        ready!(stream.poll_send(context))?;
        Pin::new(&mut stream.socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        stream.session.close();
        ready!(stream.poll_send(context))?;
        Pin::new(&mut stream.socket).poll_shutdown(context)
    }
}

fn poll<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

/// A socket of the runtime, as one that does not block.
struct Polled<'a, 'c, S> {
    socket: &'a mut S,
    context: &'a mut Context<'c>,
}

impl<S: AsyncRead + Unpin> Read for Polled<'_, '_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.socket).poll_read(self.context, &mut buffer) {
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: AsyncWrite + Unpin> Write for Polled<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.socket).poll_write(self.context, bytes) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
