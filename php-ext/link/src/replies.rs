//! Cuts what arrives into replies.

use std::io::{self, Read};

use gateway_wire::bridge::frame::{self, FrameTooLarge, HEADER};
use gateway_wire::bridge::{DecodeError, Reply};

use crate::inbox::Inbox;

#[derive(Debug, Default)]
pub(crate) struct Replies(Inbox);

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
        self.0.fill(source)
    }

    pub(crate) fn unread(&self) -> &[u8] {
        self.0.unread()
    }

    /// What was read and is no reply.
    pub(crate) fn into_unread(self) -> Inbox {
        self.0
    }

    /// The next reply, once it is whole.
    pub(crate) fn next(&mut self, limit: usize) -> Result<Option<Reply>, BadReply> {
        let Some(length) = frame::content_length(self.0.unread(), limit)? else { return Ok(None) };
        Ok(Some(Reply::decode(&self.0.take(HEADER + length)[HEADER..])?))
    }
}

#[cfg(test)]
mod tests {
    use gateway_wire::bridge::Value;

    use super::*;
    use crate::inbox::CHUNK;

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
        assert!(replies.0.capacity() < CHUNK);
        let error = replies.next(1 << 10).unwrap_err().to_string();
        assert!(error.contains("over the limit of 1024"), "{error}");
    }
}
