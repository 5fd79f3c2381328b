//! TLS on established connections.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use mio::net::TcpStream;
use smallvec::SmallVec;

use crate::net::tls::TlsSession;

/// A socket together with the TLS session between it and the client's protocol.
pub(super) struct TlsSocket<'a> {
    tls: &'a mut TlsSession,
    socket: &'a mut TcpStream,
    /// The number of encrypted bytes that the socket has taken.
    sent: usize,
    /// The last read has brought less than there was room for.
    is_drained: bool,
}

/// The result of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Bytes(usize),
    /// Nothing for the client's protocol yet, but there may be more to read.
    Something,
    /// The socket has nothing more at the moment.
    Nothing,
    /// The client sends nothing more.
    End,
}

impl<'a> TlsSocket<'a> {
    pub(super) fn new(tls: &'a mut TlsSession, socket: &'a mut TcpStream) -> Self {
        Self { tls, socket, sent: 0, is_drained: false }
    }

    /// Gives decrypted bytes if there are some, and else reads the socket once. An error of the kind `InvalidData` says that the
    /// client broke TLS.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Heard> {
        let before = self.tls.read_decrypted(buffer);
        if before > 0 {
            return Ok(Heard::Bytes(before));
        }
        let mut reading = Reading { socket: self.socket, is_short: false };
        let received = self.tls.receive(&mut reading, buffer);
        self.is_drained = reading.is_short;
        let received = match received {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Heard::Nothing),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Heard::Something),
            received => received,
        };
        // TLS may have something to send by itself, such as an alert.
        self.flush()?;
        match received? {
            0 if self.tls.has_ended() => Ok(Heard::End),
            0 => Ok(Heard::Something),
            length => Ok(Heard::Bytes(length)),
        }
    }

    /// Whether the last read was a short one, after which the kernel has no more.
    pub(super) fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// Whether the socket has taken anything through this value.
    pub(super) fn has_sent(&self) -> bool {
        self.sent > 0
    }

    /// Encrypts slices that are to go to the socket at once, and appends the result to `sealed`; what the socket does not take of it has to
    /// be [kept](TlsSocket::keep). Gives how many bytes of the slices were taken, or `None` where earlier bytes come first.
    pub(super) fn seal(&mut self, slices: &[IoSlice<'_>], sealed: &mut Vec<u8>) -> Option<usize> {
        if self.tls.wants_write() {
            return None;
        }
        self.tls.seal(slices, sealed).ok()
    }

    /// Keeps what the socket has not got of the sealed bytes.
    pub(super) fn keep(&mut self, sealed: &[u8]) {
        self.tls.keep(sealed);
    }

    /// Ends the TLS session towards the client. Gives whether that is written.
    pub(super) fn finish(&mut self) -> bool {
        self.tls.close();
        // After an error nobody is left to receive it.
        self.flush().is_err() || !self.tls.wants_write()
    }
}

impl Write for TlsSocket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// Takes less than all bytes only when the socket takes no more.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut slices = SmallVec::<[IoSlice<'_>; 64]>::from_slice(slices);
        let mut rest = &mut slices[..];
        let mut taken = 0;
        self.flush()?;
        // Checking this before each write keeps the encrypted bytes within their bound.
        while !self.tls.wants_write() {
            let length = self.tls.write(rest)?;
            taken += length;
            IoSlice::advance_slices(&mut rest, length);
            self.flush()?;
            if rest.is_empty() || length == 0 {
                return Ok(taken);
            }
        }
        if taken > 0 { Ok(taken) } else { Err(ErrorKind::WouldBlock.into()) }
    }

    /// Writes encrypted bytes until none are left or the socket takes no more.
    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.send(self.socket) {
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

/// A socket that is read once.
struct Reading<'a> {
    socket: &'a mut TcpStream,
    /// The read has brought less than there was room for.
    is_short: bool,
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.socket.read(buffer)?;
        self.is_short = length < buffer.len();
        Ok(length)
    }
}
