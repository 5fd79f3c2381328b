//! Cuts what arrives into replies. The buffer grows by what has arrived, never by what a length claims.

use std::io::{self, Read};

use gateway_wire::bridge::frame::{self, FrameTooLarge, HEADER};
use gateway_wire::bridge::{DecodeError, Reply};

/// How much one read takes at most.
const CHUNK: usize = 16 << 10;
/// Memory kept for the next reply.
const KEPT: usize = 256 << 10;

#[derive(Debug, Default)]
pub(crate) struct Replies {
    buffer: Vec<u8>,
    start: usize,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum BadReply {
    #[error(transparent)]
    TooLarge(#[from] FrameTooLarge),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl Replies {
    /// Reads once. 0 is the end.
    pub(crate) fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        let mut chunk = [0; CHUNK];
        let read = loop {
            match source.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            self.buffer.shrink_to(KEPT);
        } else if self.start > KEPT {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(read)
    }

    /// The next reply, once it is whole.
    pub(crate) fn next(&mut self, limit: usize) -> Result<Option<Reply>, BadReply> {
        let unread = &self.buffer[self.start..];
        let Some(length) = frame::content_length(unread, limit)? else { return Ok(None) };
        let reply = Reply::decode(&unread[HEADER..HEADER + length])?;
        self.start += HEADER + length;
        Ok(Some(reply))
    }
}

#[cfg(test)]
mod tests {
    use gateway_wire::bridge::Value;

    use super::*;

    #[test]
    fn replies_come_out_whole_however_they_arrive() {
        let big = Reply::Answer { seq: 7, value: Value::Str(vec![b'x'; 3 * CHUNK]) };
        let sent = [Reply::Ack { seq: 1 }, big, Reply::Ack { seq: 9 }];
        let mut bytes = Vec::new();
        for reply in &sent {
            reply.encode(&mut bytes).unwrap();
        }
        for step in [1, 7, CHUNK, bytes.len()] {
            let mut replies = Replies::default();
            let mut got = Vec::new();
            for mut piece in bytes.chunks(step) {
                while replies.fill(&mut piece).unwrap() > 0 {
                    while let Some(reply) = replies.next(1 << 20).unwrap() {
                        got.push(reply);
                    }
                }
            }
            assert_eq!(got, sent, "in steps of {step}");
        }
    }

    #[test]
    fn a_claimed_length_takes_no_memory_and_is_bounded() {
        let mut replies = Replies::default();
        replies.fill(&mut (200u32 << 20).to_be_bytes().as_slice()).unwrap();
        assert!(replies.next(256 << 20).unwrap().is_none());
        assert!(replies.buffer.capacity() < CHUNK);
        let error = replies.next(1 << 10).unwrap_err().to_string();
        assert!(error.contains("over the limit of 1024"), "{error}");
    }
}
