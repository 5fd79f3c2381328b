//! What clients read through TLS. Most look at the lengths of records alone, so that the generator is not busy with decryption; one of each
//! fleet decrypts everything, and so vouches that the others count messages.

use std::io::Read as _;

use anyhow::Context as _;
use tokio_rustls::rustls::client::ClientConnection;

use crate::frames::{TEXT, Walker};

/// The bytes of a record's header: its type, a version, and its length.
const HEADER: usize = 5;
/// The bytes of an encrypted record of TLS 1.3 that are no data: the type and the tag.
const SEALED: usize = 17;
const APPLICATION_DATA: u8 = 23;

/// The place in a stream of records between two reads.
#[derive(Default)]
pub(crate) struct Records {
    header: [u8; HEADER],
    header_bytes: usize,
    /// The number of bytes of the current record that are still to come.
    skip: usize,
}

impl Records {
    /// Calls `ended` with the number of data bytes in each record that ends in `bytes`.
    fn walk(&mut self, mut bytes: &[u8], mut ended: impl FnMut(usize)) {
        loop {
            let missing = HEADER - self.header_bytes;
            if missing > 0 {
                let here = missing.min(bytes.len());
                self.header[self.header_bytes..][..here].copy_from_slice(&bytes[..here]);
                self.header_bytes += here;
                bytes = &bytes[here..];
                if here < missing {
                    return;
                }
                self.skip = self.length();
            }
            let here = self.skip.min(bytes.len());
            self.skip -= here;
            bytes = &bytes[here..];
            if self.skip > 0 {
                return;
            }
            self.header_bytes = 0;
            if self.header[0] == APPLICATION_DATA {
                ended(self.length().saturating_sub(SEALED));
            }
        }
    }

    fn length(&self) -> usize {
        usize::from(u16::from_be_bytes([self.header[3], self.header[4]]))
    }
}

/// A client's state of TLS behind its handshake.
pub(crate) enum Secured {
    /// A client that takes the data of records for frames of the length that is expected.
    Counting { records: Records, data: usize, frame: usize },
    /// A client that decrypts everything.
    Reading { session: Box<ClientConnection>, walker: Walker },
}

impl Secured {
    pub(crate) fn counting() -> Self {
        Self::Counting { records: Records::default(), data: 0, frame: usize::MAX }
    }

    pub(crate) fn reading(session: ClientConnection) -> Self {
        Self::Reading { session: Box::new(session), walker: Walker::default() }
    }

    /// Says how long the frames are that come next.
    pub(crate) fn expect(&mut self, length: usize) {
        if let Self::Counting { frame, .. } = self {
            *frame = length;
        }
    }

    /// Calls `ended` with the opcode of each frame that ends in `bytes`.
    pub(crate) fn walk(&mut self, bytes: &[u8], mut ended: impl FnMut(u8)) -> anyhow::Result<()> {
        match self {
            Self::Counting { records, data, frame } => records.walk(bytes, |more| {
                *data += more;
                while *data >= *frame {
                    *data -= *frame;
                    ended(TEXT);
                }
            }),
            Self::Reading { session, walker } => {
                let mut plain = [0; 16 << 10];
                decrypted(session, bytes, &mut plain, |plain| walker.walk(plain, &mut ended))?;
            }
        }
        Ok(())
    }
}

/// Gives what the bytes say behind TLS, in parts.
pub(crate) fn decrypted(
    session: &mut ClientConnection,
    mut bytes: &[u8],
    buffer: &mut [u8],
    mut took: impl FnMut(&[u8]),
) -> anyhow::Result<()> {
    while !bytes.is_empty() {
        session.read_tls(&mut bytes)?;
        session.process_new_packets().context("the server's TLS")?;
        while let Ok(length @ 1..) = session.reader().read(buffer) {
            took(&buffer[..length]);
        }
    }
    Ok(())
}
