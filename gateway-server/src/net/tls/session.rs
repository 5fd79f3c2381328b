//! The TLS session of a client. It keeps no buffer while nothing is on its way, as most clients are idle.
//!
//! TLS itself is rustls's, by the interface that leaves all buffers to the caller: [`rustls::ServerConnection`] keeps 4 KiB for what it
//! reads next for as long as it lives, which is more than all else of a session.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{Error, ServerConfig};

use super::pending_bytes::PendingBytes;

/// The number of bytes that are encrypted at once: two records of the longest kind.
pub const ENCRYPTED_AT_ONCE: usize = 32 << 10;
/// The most bytes in one record.
const RECORD: usize = 16 << 10;
/// The bytes that encryption adds to a record: header, number, kind and tag. Where rustls says that it takes more, it gets more.
const RECORD_OVERHEAD: usize = 32;
/// The number of bytes that are read at once, about as much as one record of the longest kind takes.
const READ_AT_ONCE: usize = 18 << 10;
/// The most bytes that TLS may have received and not be done with. A record takes less. A message of the handshake may come in several,
/// and takes as much as rustls itself grants it elsewhere.
const MOST_RECEIVED: usize = 64 << 10;
const FAILED_BEFORE: &str = "TLS has failed before";

thread_local! {
    /// Where this thread's sessions receive, and have records decrypted in place.
    static RECEIVED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Where what goes into one record is put together.
    static GATHERED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The TLS session between a client's socket and its protocol.
pub struct TlsSession {
    connection: UnbufferedServerConnection,
    /// The beginning of a record, or of a message of the handshake in several records, whose rest has not come yet. rustls has
    /// a position in it, and must always be given all of it.
    received: Box<[u8]>,
    /// Decrypted bytes that nobody has taken yet.
    decrypted: PendingBytes,
    /// Encrypted bytes that the socket has not taken yet.
    encrypted: PendingBytes,
    /// The client sends nothing more, whether or not it has ended TLS.
    has_ended: bool,
    /// The client has broken TLS, or the keys are used up: nothing but the alert that says so is sent any more.
    has_failed: bool,
}

impl TlsSession {
    /// A session whose handshake has not begun.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(config)?,
            received: Box::default(),
            decrypted: PendingBytes::default(),
            encrypted: PendingBytes::default(),
            has_ended: false,
            has_failed: false,
        })
    }

    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether there is something that the socket has not taken.
    pub fn wants_write(&self) -> bool {
        !self.encrypted.is_empty()
    }

    /// Whether the client sends nothing more, with or without having ended TLS.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// What was decrypted and not taken yet.
    pub fn decrypted(&self) -> &[u8] {
        self.decrypted.rest()
    }

    /// Takes this many bytes from the front of what was decrypted.
    pub fn consume(&mut self, length: usize) {
        self.decrypted.take(length);
    }

    /// Copies what was decrypted, as much as there is room for. Gives its length.
    pub fn read_decrypted(&mut self, into: &mut [u8]) -> usize {
        let decrypted = self.decrypted.rest();
        let length = decrypted.len().min(into.len());
        into[..length].copy_from_slice(&decrypted[..length]);
        self.decrypted.take(length);
        length
    }

    /// Reads the socket once, and decrypts what has come into `into`, as far as there is room and nothing decrypted waits already; the rest
    /// waits in the session. Gives the length of what is in `into`, which is 0 as well when a record is not complete yet or the client has
    /// ended. There may be something to send afterwards, after an error too.
    ///
    /// An error of the kind `InvalidData` says that the client broke TLS. All others are the socket's.
    pub fn receive(&mut self, socket: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
        if self.has_failed {
            return Err(failed(FAILED_BEFORE));
        }
        if self.has_ended {
            return Ok(0);
        }
        let mut buffer = RECEIVED.take();
        buffer.resize(MOST_RECEIVED, 0);
        let result = self.receive_through(&mut buffer, socket, into);
        RECEIVED.set(buffer);
        result
    }

    fn receive_through(
        &mut self,
        buffer: &mut [u8],
        socket: &mut impl Read,
        into: &mut [u8],
    ) -> io::Result<usize> {
        let before = self.received.len();
        buffer[..before].copy_from_slice(&self.received);
        let end = buffer.len().min(before + READ_AT_ONCE);
        if before == end {
            self.has_failed = true;
            return Err(failed("a message of the TLS handshake is too long"));
        }
        let length = socket.read(&mut buffer[before..end])?;
        if length == 0 {
            self.has_ended = true;
            return Ok(0);
        }
        let received = &mut buffer[..before + length];
        let result = self.process(received, into);
        let done = result.as_ref().map_or(received.len(), |(done, _)| *done);
        self.received = received[done..].into();
        result.map(|(_, decrypted)| decrypted).map_err(failed)
    }

    /// Has rustls go through what was received, as far as it gets. Gives how much of that it is done with, and the length of what was
    /// decrypted into `into`.
    fn process(&mut self, received: &mut [u8], into: &mut [u8]) -> Result<(usize, usize), Error> {
        let (mut done, mut filled) = (0, 0);
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut received[done..]);
            let is_last = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.inspect_err(|_| self.has_failed = true)?;
                        discard += record.discard;
                        let room = if self.decrypted.is_empty() { into.len() - filled } else { 0 };
                        let (now, later) = record.payload.split_at(record.payload.len().min(room));
                        into[filled..filled + now.len()].copy_from_slice(now);
                        filled += now.len();
                        self.decrypted.push(later);
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, self.encrypted.tail());
                    false
                }
                // What was encoded is sent behind everything that was encoded before.
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    self.has_ended = true;
                    // Whatever follows the end of TLS does not count.
                    return Ok((received.len(), filled));
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => true,
                // No client is offered to send anything before the handshake is done.
                Ok(_) => return Err(self.fail(Error::General("unexpected early data".to_owned()))),
                Err(error) => return Err(self.fail(error)),
            };
            done += discard;
            if is_last {
                return Ok((done, filled));
            }
        }
    }

    /// Ends the session for an error, of which the client is told by the alerts that rustls holds.
    fn fail(&mut self, error: Error) -> Error {
        self.has_failed = true;
        // As long as rustls has something to send, it does not look at what was received.
        while self.connection.wants_write() {
            let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut []);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else { break };
            encode(&mut data, self.encrypted.tail());
        }
        error
    }

    /// Encrypts bytes, [`ENCRYPTED_AT_ONCE`] at most, and appends the result to `sealed`. It has to be sent behind what waits already, or
    /// [kept](TlsSession::keep), before anything else is encrypted. Gives how many bytes of the slices were taken. An error says that the
    /// session has failed.
    pub fn seal(&mut self, slices: &[IoSlice<'_>], sealed: &mut Vec<u8>) -> io::Result<usize> {
        if let [slice] = slices {
            return self.seal_bytes(&slice[..slice.len().min(ENCRYPTED_AT_ONCE)], sealed);
        }
        let mut gathered = GATHERED.take();
        gathered.clear();
        for slice in slices {
            let room = ENCRYPTED_AT_ONCE - gathered.len();
            gathered.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        let result = self.seal_bytes(&gathered, sealed);
        GATHERED.set(gathered);
        result
    }

    fn seal_bytes(&mut self, bytes: &[u8], sealed: &mut Vec<u8>) -> io::Result<usize> {
        if self.has_failed {
            return Err(failed(FAILED_BEFORE));
        }
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut self.received);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            return Err(failed("TLS cannot send at the moment"));
        };
        let room = bytes.len() + bytes.len().div_ceil(RECORD) * RECORD_OVERHEAD;
        match append(sealed, room, |room| traffic.encrypt(bytes, room)) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.fail(Error::EncryptError);
                Err(failed(error))
            }
        }
    }

    /// Keeps what was sealed and the socket has not taken, so that it is sent before all else.
    pub fn keep(&mut self, sealed: &[u8]) {
        self.encrypted.push(sealed);
    }

    /// Encrypts as [`TlsSession::seal`] does, and keeps the result, to be sent.
    pub fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut encrypted = std::mem::take(&mut self.encrypted);
        let result = self.seal(slices, encrypted.tail());
        // What has come meanwhile is an alert.
        encrypted.push(self.encrypted.rest());
        self.encrypted = encrypted;
        result
    }

    /// Writes to the socket once. Gives how many bytes it has taken.
    pub fn send(&mut self, socket: &mut impl Write) -> io::Result<usize> {
        let length = socket.write(self.encrypted.rest())?;
        self.encrypted.take(length);
        Ok(length)
    }

    /// Ends TLS towards the client, behind what waits. The client may still send. After that nothing may be encrypted any more.
    pub fn close(&mut self) {
        if self.has_failed {
            return;
        }
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut self.received);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
            // Only keys that are used up keep an alert back.
            let _ = append(self.encrypted.tail(), RECORD_OVERHEAD, |room| traffic.queue_close_notify(room));
        }
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// Appends what rustls has encrypted of itself.
fn encode(data: &mut EncodeTlsData<'_, ServerConnectionData>, to: &mut Vec<u8>) {
    // It fails only where it was encoded before.
    let _ = append(to, 0, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(error) => error.into(),
            EncodeError::AlreadyEncoded => EncryptError::EncryptExhausted,
        })
    });
}

/// Appends what `write` writes, which gets `room` bytes at first, and what it says that it takes after that.
fn append(
    to: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), EncryptError> {
    let start = to.len();
    to.resize(start + room, 0);
    loop {
        match write(&mut to[start..]) {
            Ok(length) => {
                to.truncate(start + length);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > to.len() - start =>
            {
                to.resize(start + required_size, 0);
            }
            Err(error) => {
                to.truncate(start);
                return Err(error);
            }
        }
    }
}
