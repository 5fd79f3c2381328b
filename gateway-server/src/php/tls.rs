//! Connections from PHP over TLS.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::stream::Stream;
use crate::net::tls::{Certificate, FIRST_BYTE};

/// A connection from PHP over TLS.
struct PhpTlsStream(TlsStream<TcpStream>);

/// Performs the TLS handshake when the peer begins one. A peer on this machine, for which `is_own` is true, may go on without
/// TLS. Gives whether the connection has TLS.
pub(super) async fn accept(
    socket: TcpStream,
    certificate: &Certificate,
    is_own: bool,
) -> io::Result<(Box<dyn Stream>, bool)> {
    let mut first = [0];
    let length = socket.peek(&mut first).await?;
    if wants_tls(&first[..length], is_own)? {
        let stream = TlsAcceptor::from(certificate.config()).accept(socket).await?;
        Ok((Box::new(PhpTlsStream(stream)), true))
    } else {
        Ok((Box::new(socket), false))
    }
}

fn wants_tls(first: &[u8], is_own: bool) -> io::Result<bool> {
    match first {
        [FIRST_BYTE] => Ok(true),
        // The peer closed without sending anything, which is no error.
        [] => Ok(false),
        _ if is_own => Ok(false),
        _ => Err(io::Error::other(
            "it does not speak TLS, as PHP on other machines has to (register_tls_certificate)",
        )),
    }
}

impl Stream for PhpTlsStream {
    /// TLS records must not be read past TLS, so this never has anything.
    fn read_now(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    /// The keys of a TLS connection are in this process.
    fn can_travel(&self) -> bool {
        false
    }

    fn duplicate(&self) -> io::Result<Socket> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl AsyncRead for PhpTlsStream {
    /// Writes the records that TLS still holds back before it reads: a task that reads waits for the peer, and the peer may wait for
    /// these records.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // An error here means that the peer has closed its side; what it sent before is still read.
        let _ = Pin::new(&mut self.0).poll_flush(context);
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for PhpTlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_have_to_speak_tls() {
        for is_own in [false, true] {
            assert!(wants_tls(&[FIRST_BYTE], is_own).unwrap());
            assert!(!wants_tls(&[], is_own).unwrap());
        }
        assert!(!wants_tls(b"\xc1", true).unwrap());
        for first in [b"\xc1", b"{", b"\0"] {
            assert!(wants_tls(first, false).is_err());
        }
    }
}
