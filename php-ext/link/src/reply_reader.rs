//! Decodes the bytes that arrive into replies.

use std::io::{self, Read};

use gateway_wire::bridge::frame::{self, FrameTooLarge, HEADER, MAX_REPLY};
use gateway_wire::bridge::{ANSWER_HEAD, DecodeError, Reply};

use crate::answer::QueryAnswer;
use crate::read_buffer::ReadBuffer;

#[derive(Debug, Default)]
pub(crate) struct ReplyReader {
    buffer: ReadBuffer,
    /// Bytes of a reply that is skipped, which have not arrived yet.
    unwanted: usize,
}

/// A reply, as the engine handles it.
#[derive(Debug)]
pub(crate) enum ReceivedReply {
    Answer {
        seq: u64,
        answer: QueryAnswer,
    },
    /// The answer has more bytes than the caller takes, and is skipped.
    TooLarge {
        seq: u64,
        length: usize,
    },
    Other(Reply),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplyError {
    #[error(transparent)]
    TooLarge(#[from] FrameTooLarge),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl ReplyReader {
    /// Reads once. 0 means that the connection has ended.
    pub(crate) fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        self.buffer.fill(source)
    }

    pub(crate) fn unread(&self) -> &[u8] {
        self.buffer.unread()
    }

    /// Gives the bytes that were read and not decoded.
    pub(crate) fn into_unread(self) -> ReadBuffer {
        self.buffer
    }

    /// Gives the next reply, once it is whole.
    pub(crate) fn next(&mut self, limit: usize) -> Result<Option<Reply>, ReplyError> {
        let Some(length) = frame::content_length(self.buffer.unread(), limit)? else { return Ok(None) };
        Ok(Some(Reply::decode(&self.buffer.take(HEADER + length)[HEADER..])?))
    }

    /// Gives the next reply after the handshake, once it is whole; an answer of more than `most` bytes once its head has
    /// arrived.
    pub(crate) fn next_within(&mut self, most: usize) -> Result<Option<ReceivedReply>, ReplyError> {
        let passed = self.unwanted.min(self.buffer.unread().len());
        self.buffer.take(passed);
        self.unwanted -= passed;
        let unread = self.buffer.unread();
        let Some(length) = frame::claimed_length(unread, MAX_REPLY)? else { return Ok(None) };
        let content = &unread[HEADER..];
        if length > most.max(MAX_PLAIN_REPLY) && content.len() >= ANSWER_HEAD {
            // No other reply is so long.
            let (seq, _) = Reply::answer(content).ok_or(FrameTooLarge { length, limit: most })?;
            self.unwanted = HEADER + length;
            return Ok(Some(ReceivedReply::TooLarge { seq, length }));
        }
        if content.len() < length || length > most.max(MAX_PLAIN_REPLY) {
            return Ok(None);
        }
        if let Some((seq, start)) = Reply::answer(&content[..length]) {
            let answer = QueryAnswer::new(self.buffer.take_owned(HEADER + length), HEADER + start);
            return Ok(Some(ReceivedReply::Answer { seq, answer }));
        }
        Ok(Some(ReceivedReply::Other(Reply::decode(&self.buffer.take(HEADER + length)[HEADER..])?)))
    }
}

/// A reply that is no answer, such as an error, has at most so many bytes.
const MAX_PLAIN_REPLY: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use gateway_wire::bridge::AnswerValue;

    use super::*;
    use crate::read_buffer::READ_BYTES;

    #[test]
    fn replies_come_out_whole_however_they_arrive() {
        let big = Reply::Answer { seq: 7, value: AnswerValue::Str(vec![b'x'; 3 * READ_BYTES]) };
        let sent = [Reply::Ack { seq: 1 }, big, Reply::Ack { seq: 9 }];
        let mut bytes = Vec::new();
        for reply in &sent {
            reply.encode(&mut bytes).unwrap();
        }
        for step in [1, 7, READ_BYTES, bytes.len()] {
            let mut replies = ReplyReader::default();
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
    fn an_answer_that_is_too_large_is_passed_over_as_it_comes() {
        let length = 40 * READ_BYTES;
        let big = Reply::Answer { seq: 7, value: AnswerValue::Str(vec![b'x'; length]) };
        let mut bytes = Vec::new();
        for reply in [Reply::Ack { seq: 6 }, big, Reply::Answer { seq: 8, value: AnswerValue::Int(5) }] {
            reply.encode(&mut bytes).unwrap();
        }
        for step in [1, READ_BYTES, bytes.len()] {
            let mut replies = ReplyReader::default();
            let mut got = Vec::new();
            for mut piece in bytes.chunks(step) {
                while replies.fill(&mut piece).unwrap() > 0 {
                    while let Some(reply) = replies.next_within(20 * READ_BYTES).unwrap() {
                        got.push(reply);
                    }
                    assert!(replies.buffer.capacity() <= 32 * READ_BYTES, "it takes no memory");
                }
            }
            let [ReceivedReply::Other(Reply::Ack { seq: 6 }), too_large, answer] = &got[..] else {
                panic!("{got:?} in steps of {step}")
            };
            assert!(matches!(too_large, ReceivedReply::TooLarge { seq: 7, length: l } if *l > length));
            assert!(
                matches!(answer, ReceivedReply::Answer { seq: 8, answer } if *answer == AnswerValue::Int(5))
            );
        }
    }

    #[test]
    fn a_claimed_length_takes_no_memory_and_is_bounded() {
        let mut replies = ReplyReader::default();
        replies.fill(&mut (200u32 << 20).to_be_bytes().as_slice()).unwrap();
        assert!(replies.next(256 << 20).unwrap().is_none());
        assert!(replies.buffer.capacity() < READ_BYTES);
        let error = replies.next(1 << 10).unwrap_err().to_string();
        assert!(error.contains("over the limit of 1024"), "{error}");
    }
}
