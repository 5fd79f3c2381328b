//! The gateway's replies to PHP: `[seq, status, value]`.

use std::fmt;

use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::answer_value::AnswerValue;
use super::frame::{self, FrameTooLarge, MAX_REPLY};
use super::handshake::{Nonce, Proof};
use super::raw::RawPart;
use super::{DecodeError, decode};

/// A frame from the gateway to a PHP process.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The gateway's first frame, which it sends after the preface.
    Hello {
        /// The random number over which PHP proves that it knows the secret.
        nonce: Nonce,
        /// A random number of this server process. When it changes, all clients and everything known of them are gone.
        instance: u64,
    },
    /// The gateway accepts the login.
    Welcome {
        /// The highest number of this producer's orders that have taken effect already; 0 when there is none, and always for workers.
        applied: u64,
        /// The gateway's own proof that it knows the secret, from [`Login::gateway_proof`](super::Login::gateway_proof).
        proof: Proof,
    },
    /// The gateway has carried out all calls up to a number; they need not be sent again.
    Ack {
        /// The number of the last of these calls.
        seq: u64,
    },
    /// The answer to a query. It acknowledges all calls before the query too.
    Answer {
        /// The number of the query.
        seq: u64,
        /// The answer, in the form that the variants of [`Query`](super::Query) name.
        value: AnswerValue,
    },
    /// A call failed. An order that failed counts as applied and is acknowledged like the others, so it is not to be sent again.
    Error {
        /// The number of the call, or 0 when the login or a frame was refused, after which the gateway closes the connection.
        seq: u64,
        /// The reason, for a human.
        message: String,
    },
}

/// The statuses, as they stand on the wire.
const ACK: u8 = 0;
const ANSWER: u8 = 1;
const ERROR: u8 = 2;
const HELLO: u8 = 3;
const WELCOME: u8 = 4;

impl Reply {
    /// Appends the reply as a frame. Over [`MAX_REPLY`] bytes it is an error, and `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
        match self {
            Self::Hello { nonce, instance } => {
                append(out, 0, HELLO, &(serde_bytes::Bytes::new(nonce), instance))
            }
            Self::Welcome { applied, proof } => {
                append(out, 0, WELCOME, &(applied, serde_bytes::Bytes::new(proof)))
            }
            Self::Ack { seq } => append(out, *seq, ACK, &()),
            Self::Answer { seq, value } => append(out, *seq, ANSWER, value),
            Self::Error { seq, message } => append(out, *seq, ERROR, message),
        }
    }

    /// Appends an answer as a frame without a tree of it in memory: `value` is anything that serializes to what an [`AnswerValue`]
    /// holds. Over [`MAX_REPLY`] bytes it is an error, and `out` is left as it was.
    pub fn encode_answer(seq: u64, value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
        append(out, seq, ANSWER, value)
    }

    /// Reads the content of a frame.
    pub fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        decode(content)
    }

    /// Gives the number of an answer's query, and where in `content` its value begins. It gives `None` if the reply is no answer, or
    /// if fewer bytes than its head are there. [`ANSWER_HEAD`] bytes are enough.
    pub fn answer(content: &[u8]) -> Option<(u64, usize)> {
        let rest = content.strip_prefix(&[0x90 | 3])?;
        let mut parts = super::raw::RawItems::of(rest, 3);
        let (seq, status) = (parts.next()?.ok()?, parts.next()?.ok()?);
        let (Ok(RawPart::Int(seq)), Ok(RawPart::Int(status))) = (seq.read(), status.read()) else {
            return None;
        };
        let value = content.len() - parts.unread().len();
        (status == i64::from(ANSWER)).then_some((u64::try_from(seq).ok()?, value))
    }
}

/// Longest head of an answer, in bytes: the array's marker, the number and the status.
pub const ANSWER_HEAD: usize = 1 + 9 + 1;

fn append(out: &mut Vec<u8>, seq: u64, status: u8, value: &impl Serialize) -> Result<(), FrameTooLarge> {
    frame::append(out, MAX_REPLY, |out| frame::write_msgpack(out, &(seq, status, value)))
}

impl<'de> Deserialize<'de> for Reply {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(3, ReplyVisitor)
    }
}

struct ReplyVisitor;

impl<'de> Visitor<'de> for ReplyVisitor {
    type Value = Reply;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array [seq, status, value]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Reply, A::Error> {
        fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(array: &mut A, i: usize) -> Result<T, A::Error> {
            array.next_element()?.ok_or_else(|| de::Error::invalid_length(i, &"[seq, status, value]"))
        }
        let seq = next(&mut array, 0)?;
        match next::<u8, A>(&mut array, 1)? {
            ACK => next::<(), A>(&mut array, 2).map(|()| Reply::Ack { seq }),
            ANSWER => next(&mut array, 2).map(|value| Reply::Answer { seq, value }),
            ERROR => next(&mut array, 2).map(|message| Reply::Error { seq, message }),
            HELLO => {
                let (nonce, instance): (&serde_bytes::Bytes, u64) = next(&mut array, 2)?;
                let nonce =
                    nonce.as_ref().try_into().map_err(|_| de::Error::custom("a nonce has 32 bytes"))?;
                Ok(Reply::Hello { nonce, instance })
            }
            WELCOME => {
                let (applied, proof): (u64, &serde_bytes::Bytes) = next(&mut array, 2)?;
                let proof =
                    proof.as_ref().try_into().map_err(|_| de::Error::custom("a proof has 32 bytes"))?;
                Ok(Reply::Welcome { applied, proof })
            }
            other => Err(de::Error::custom(format_args!("there is no reply of status {other}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::handshake::{NONCE_BYTES, PROOF_BYTES};
    use super::*;
    use crate::ClientId;

    fn every_reply() -> Vec<Reply> {
        let text = || AnswerValue::Str(b"\xff any bytes".to_vec());
        vec![
            Reply::Hello { nonce: [3; NONCE_BYTES], instance: u64::MAX },
            Reply::Welcome { applied: 7, proof: [4; PROOF_BYTES] },
            Reply::Ack { seq: 1 << 40 },
            Reply::Answer { seq: 2, value: AnswerValue::Null },
            Reply::Answer { seq: 3, value: AnswerValue::Bool(true) },
            Reply::Answer { seq: 4, value: AnswerValue::Int(-5) },
            Reply::Answer { seq: 5, value: AnswerValue::List(vec![text(), AnswerValue::Null]) },
            Reply::Answer {
                seq: 6,
                value: AnswerValue::Map(vec![
                    (text(), AnswerValue::List(vec![])),
                    (AnswerValue::Int(9), text()),
                ]),
            },
            Reply::Error { seq: 0, message: "no".to_owned() },
        ]
    }

    fn content(reply: &Reply) -> Vec<u8> {
        let mut bytes = Vec::new();
        reply.encode(&mut bytes).unwrap();
        bytes.split_off(frame::HEADER)
    }

    #[test]
    fn round_trip() {
        for reply in every_reply() {
            assert_eq!(Reply::decode(&content(&reply)).unwrap(), reply);
        }
    }

    #[test]
    fn every_truncation_and_every_trailing_byte_is_an_error() {
        for reply in every_reply() {
            let mut bytes = content(&reply);
            for end in 0..bytes.len() {
                Reply::decode(&bytes[..end]).unwrap_err();
            }
            bytes.push(0);
            Reply::decode(&bytes).unwrap_err();
        }
    }

    #[test]
    fn answers_from_plain_types() {
        let client = ClientId::new("127.0.0.1:1238".parse().unwrap(), 1);
        let mut bytes = Vec::new();
        Reply::encode_answer(1, &vec![client], &mut bytes).unwrap();
        let value = AnswerValue::List(vec![AnswerValue::Str(client.to_bytes().to_vec())]);
        assert_eq!(Reply::decode(&bytes[frame::HEADER..]).unwrap(), Reply::Answer { seq: 1, value });
    }

    #[test]
    fn an_answer_is_known_by_its_head() {
        for seq in [0, 1, 127, 128, 1 << 20, 1 << 40, i64::MAX as u64] {
            let value = AnswerValue::List(vec![AnswerValue::Str(b"x".to_vec()), AnswerValue::Null]);
            let bytes = content(&Reply::Answer { seq, value: value.clone() });
            let (number, start) = Reply::answer(&bytes).unwrap();
            assert_eq!((number, start <= ANSWER_HEAD), (seq, true));
            assert_eq!(super::super::RawValue::new(&bytes[start..]).to_value().unwrap(), value);
            assert_eq!(Reply::answer(&bytes[..start]), Some((seq, start)));
        }
        for reply in every_reply() {
            let is_answer = matches!(reply, Reply::Answer { .. });
            assert_eq!(Reply::answer(&content(&reply)).is_some(), is_answer, "{reply:?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let mut bytes = vec![0x93, 1, ANSWER];
        bytes.extend(std::iter::repeat_n(0x91, 100_000));
        bytes.push(0xc0);
        Reply::decode(&bytes).unwrap_err();
    }
}
