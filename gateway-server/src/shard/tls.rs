//! What established connections say by TLS.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write};

use mio::net::TcpStream;
use rustls::ServerConnection;
use smallvec::SmallVec;

/// Bytes of messages that may wait encrypted; what goes out behind them waits in the outbox.
pub(super) const ENCRYPTED: usize = 32 << 10;

/// A socket and what is between it and its client's protocol.
pub(super) struct TlsSocket<'a> {
    tls: &'a mut ServerConnection,
    socket: &'a mut TcpStream,
    /// Encrypted bytes that the socket has taken.
    sent: usize,
}

/// What one read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Bytes(usize),
    /// Nothing for the client's protocol yet; there may be more.
    Something,
    /// There is no more for now.
    Nothing,
    /// Nothing more will come.
    End,
}

impl<'a> TlsSocket<'a> {
    pub(super) fn new(tls: &'a mut ServerConnection, socket: &'a mut TcpStream) -> Self {
        Self { tls, socket, sent: 0 }
    }

    /// Reads the socket once, unless there is something already. An error of the kind `InvalidData` is the client's.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Heard> {
        match self.tls.reader().read(buffer) {
            Ok(0) => return Ok(Heard::End),
            Ok(length) => return Ok(Heard::Bytes(length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // It ended without saying so by TLS, as many do.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Heard::End),
            Err(error) => return Err(error),
        }
        match self.tls.read_tls(self.socket) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Heard::Nothing),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Heard::Something),
            Err(error) => return Err(error),
        }
        let processed = self.tls.process_new_packets();
        // It may have something to say itself: new keys, or what is wrong.
        self.flush()?;
        processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(Heard::Something)
    }

    /// Whether its socket has taken anything.
    pub(super) fn has_sent(&self) -> bool {
        self.sent > 0
    }

    /// Says that nothing more comes; true when that is out.
    pub(super) fn finish(&mut self) -> bool {
        self.tls.send_close_notify();
        // On an error there is nobody who could hear it.
        self.flush().is_err() || !self.tls.wants_write()
    }
}

impl Write for TlsSocket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// Takes less than all only when the socket takes no more.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut slices = SmallVec::<[IoSlice<'_>; 64]>::from_slice(slices);
        let mut rest = &mut slices[..];
        let mut taken = 0;
        self.flush()?;
        // So that never more is encrypted than its bound.
        while !self.tls.wants_write() {
            let length = self.tls.writer().write_vectored(rest)?;
            taken += length;
            IoSlice::advance_slices(&mut rest, length);
            self.flush()?;
            if rest.is_empty() || length == 0 {
                return Ok(taken);
            }
        }
        if taken > 0 { Ok(taken) } else { Err(ErrorKind::WouldBlock.into()) }
    }

    /// Until the socket takes no more.
    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(self.socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
