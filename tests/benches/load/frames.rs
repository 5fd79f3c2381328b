//! Websocket frames at the lowest cost: headers are read only to find the next one, and payloads are not looked at.

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// Makes a frame of a server, which is not masked.
pub(crate) fn unmasked(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    push_header(&mut frame, TEXT, payload.len(), 0);
    frame.extend_from_slice(payload);
    frame
}

/// Appends a frame of a client. Its masking key is zero, which leaves the payload as it is.
pub(crate) fn push_masked(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    push_header(out, opcode, payload.len(), 0x80);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

fn push_header(out: &mut Vec<u8>, opcode: u8, length: usize, mask: u8) {
    out.push(0x80 | opcode);
    match length {
        0..=125 => out.push(mask | length as u8),
        126..=0xffff => {
            out.push(mask | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) opcode: u8,
    /// The length of the header itself, with the masking key.
    pub(crate) length: usize,
    pub(crate) payload: usize,
}

const LONGEST_HEADER: usize = 14;

impl Header {
    /// Reads the header at the start of `bytes`, if it is whole.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let [first, second, rest @ ..] = bytes else { return None };
        let (length, payload) = match second & 0x7f {
            126 => (4, u16::from_be_bytes(*rest.first_chunk()?).into()),
            127 => (10, u64::from_be_bytes(*rest.first_chunk()?) as usize),
            short => (2, short.into()),
        };
        let length = if second & 0x80 == 0 { length } else { length + 4 };
        (bytes.len() >= length).then_some(Self { opcode: first & 15, length, payload })
    }
}

/// The place in a stream of frames between two reads.
#[derive(Default)]
pub(crate) struct Walker {
    /// The number of bytes of the current payload that are still to come, and below it the payload's opcode.
    skip: usize,
    opcode: Option<u8>,
    header: [u8; LONGEST_HEADER],
    header_bytes: usize,
}

impl Walker {
    /// Calls `ended` with the opcode of each frame that ends in `bytes`.
    pub(crate) fn walk(&mut self, mut bytes: &[u8], mut ended: impl FnMut(u8)) {
        loop {
            if let Some(opcode) = self.opcode {
                let here = self.skip.min(bytes.len());
                self.skip -= here;
                bytes = &bytes[here..];
                if self.skip > 0 {
                    return;
                }
                self.opcode = None;
                ended(opcode);
            }
            while self.header_bytes > 0 && Header::read(&self.header[..self.header_bytes]).is_none() {
                let [next, rest @ ..] = bytes else { return };
                self.header[self.header_bytes] = *next;
                self.header_bytes += 1;
                bytes = rest;
            }
            let (header, used) = if self.header_bytes > 0 {
                (Header::read(&self.header[..self.header_bytes]), 0)
            } else {
                let header = Header::read(bytes);
                (header, header.map_or(0, |header| header.length))
            };
            let Some(header) = header else {
                self.header[..bytes.len()].copy_from_slice(bytes);
                self.header_bytes = bytes.len();
                return;
            };
            self.header_bytes = 0;
            bytes = &bytes[used..];
            self.opcode = Some(header.opcode);
            self.skip = header.payload;
        }
    }
}
