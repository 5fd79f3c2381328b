//! A socket to a gateway, with TLS or without.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

use rustls::ClientConnection;
use socket2::Socket;

use crate::error::ConnectError;
use crate::fork::CloseOnFork;

#[derive(Debug)]
pub(crate) struct MaybeTlsStream {
    socket: CloseOnFork<Socket>,
    tls: Option<Box<ClientConnection>>,
}

impl MaybeTlsStream {
    pub(crate) fn plain(socket: CloseOnFork<Socket>) -> Self {
        Self { socket, tls: None }
    }

    pub(crate) fn tls(socket: CloseOnFork<Socket>, session: ClientConnection) -> Self {
        Self { socket, tls: Some(Box::new(session)) }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Runs the TLS handshake on a blocking socket, whose timeouts `prepare` sets before each use.
    pub(crate) fn tls_handshake(
        &mut self,
        prepare: impl Fn(&Socket) -> Result<(), ConnectError>,
    ) -> Result<(), ConnectError> {
        let Self { socket, tls: Some(tls) } = self else { return Ok(()) };
        let mut socket: &Socket = socket;
        while tls.is_handshaking() || tls.wants_write() {
            prepare(socket)?;
            if tls.wants_write() {
                tls.write_tls(&mut socket)?;
                continue;
            }
            if tls.read_tls(&mut socket)? == 0 {
                return Err(ConnectError::Tls("the connection was closed during its handshake".to_owned()));
            }
            if let Err(error) = tls.process_new_packets() {
                // This tells the other side what is wrong, if it listens.
                let _ = tls.write_tls(&mut socket);
                return Err(ConnectError::Tls(error.to_string()));
            }
        }
        Ok(())
    }

    /// Whether bytes were read from the socket that no caller has read from the stream.
    pub(crate) fn has_buffered_input(&mut self) -> bool {
        let state = self.tls.as_mut().and_then(|tls| tls.process_new_packets().ok());
        state.is_some_and(|state| state.plaintext_bytes_to_read() > 0)
    }

    /// Whether bytes were written to the stream that the socket has not taken.
    pub(crate) fn has_buffered_output(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }
}

impl Read for MaybeTlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut socket: &Socket = &self.socket;
        let Some(tls) = &mut self.tls else { return socket.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The other side ended without a close of TLS. The frames of the bridge tell by themselves when they are whole.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            tls.read_tls(&mut socket)?;
            let processed = tls.process_new_packets();
            flush(tls, socket)?;
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }
}

impl Write for MaybeTlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut socket: &Socket = &self.socket;
        let Some(tls) = &mut self.tls else { return socket.write_vectored(slices) };
        // This keeps the encrypted bytes that wait within their bound.
        flush(tls, socket)?;
        if tls.wants_write() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let written = tls.writer().write_vectored(slices)?;
        flush(tls, socket)?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tls.as_mut().map_or(Ok(()), |tls| flush(tls, &self.socket))
    }
}

impl AsRawFd for MaybeTlsStream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Writes until the socket takes no more.
fn flush(tls: &mut ClientConnection, mut socket: &Socket) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(&mut socket) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
