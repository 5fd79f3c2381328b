//! TLS on established connections.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write};

use mio::net::TcpStream;
use rustls::ServerConnection;
use smallvec::SmallVec;

/// The number of bytes of messages that a TLS session may hold encrypted. Further ones wait in the outbox.
pub(super) const ENCRYPTED: usize = 32 << 10;

/// A socket together with the TLS session between it and the client's protocol.
pub(super) struct TlsSocket<'a> {
    tls: &'a mut ServerConnection,
    socket: &'a mut TcpStream,
    /// The number of encrypted bytes that the socket has taken.
    sent: usize,
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
    pub(super) fn new(tls: &'a mut ServerConnection, socket: &'a mut TcpStream) -> Self {
        Self { tls, socket, sent: 0 }
    }

    /// Gives decrypted bytes if there are some, and else reads the socket once. An error of the kind `InvalidData` says that the
    /// client broke TLS.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Heard> {
        match self.tls.reader().read(buffer) {
            Ok(0) => return Ok(Heard::End),
            Ok(length) => return Ok(Heard::Bytes(length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // The client has closed the connection without ending the TLS session, as many do.
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
        // TLS may have something to send by itself: new keys, or an alert.
        self.flush()?;
        processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(Heard::Something)
    }

    /// Whether the socket has taken anything through this value.
    pub(super) fn has_sent(&self) -> bool {
        self.sent > 0
    }

    /// Encrypts slices that are to go to the socket at once, and appends the result to `sealed`; [`TlsSocket::sent`] has to follow. Gives how
    /// many bytes of the slices were taken, or `None` where earlier bytes come first.
    pub(super) fn seal(&mut self, slices: &[IoSlice<'_>], sealed: &mut Vec<u8>) -> Option<usize> {
        if self.tls.wants_write() {
            return None;
        }
        let taken = self.tls.writer().write_vectored(slices).ok()?;
        // This always fails, so that TLS keeps the bytes until it is known which of them have gone.
        let _ = self.tls.write_tls(&mut Copied(sealed));
        Some(taken)
    }

    /// Says that the socket has got so many of the sealed bytes.
    pub(super) fn sent(&mut self, bytes: usize) {
        // This cannot fail.
        let _ = self.tls.write_tls(&mut Gone(bytes));
    }

    /// Ends the TLS session towards the client. Gives whether that is written.
    pub(super) fn finish(&mut self) -> bool {
        self.tls.send_close_notify();
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

    /// Writes encrypted bytes until none are left or the socket takes no more.
    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Sending(self.socket)) {
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

/// A socket to which single slices go by plain sends, which cost the kernel less than vectored ones.
struct Sending<'a>(&'a mut TcpStream);

impl Write for Sending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [slice] => self.0.write(slice),
            _ => self.0.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that copies what it is given and takes none of it.
struct Copied<'a>(&'a mut Vec<u8>);

impl Write for Copied<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Err(ErrorKind::WouldBlock.into())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        slices.iter().for_each(|slice| self.0.extend_from_slice(slice));
        Err(ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that takes this many bytes, which are at the socket already.
struct Gone(usize);

impl Write for Gone {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len().min(self.0))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| slice.len()).sum::<usize>().min(self.0))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
