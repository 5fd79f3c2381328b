//! Decodes the messages of clients, for every protocol.

use super::violation::Violation;
use super::websocket::{self, Incoming, Inflater, MessageKind};
use super::{Encoding, frame, text};

/// The input that a connection keeps between two reads. It is there only while a message is not whole.
#[derive(Debug)]
pub enum PartialMessage {
    Websocket(websocket::PartialFrames),
    Bytes(Vec<u8>),
}

impl PartialMessage {
    /// Whether decoding can go on without more input, as the decoder stopped early so that other clients have their turn.
    pub fn is_behind(&self) -> bool {
        match self {
            Self::Websocket(partial) => partial.is_behind(),
            Self::Bytes(_) => false,
        }
    }

    /// Whether a message has been inflated in part, and its output so far is kept.
    pub fn is_inflating(&self) -> bool {
        match self {
            Self::Websocket(partial) => partial.is_inflating(),
            Self::Bytes(_) => false,
        }
    }

    /// Whether a compressed message is whole but not yet inflated. It is inflated once its output may be kept in part.
    pub fn waits_to_inflate(&self) -> bool {
        match self {
            Self::Websocket(partial) => partial.waits_to_inflate(),
            Self::Bytes(_) => false,
        }
    }

    /// The number of bytes to which the message that is inflated in part was inflated so far.
    pub fn inflated(&self) -> usize {
        match self {
            Self::Websocket(partial) => partial.inflated(),
            Self::Bytes(_) => 0,
        }
    }

    /// The memory that this takes, in bytes.
    pub fn weight(&self) -> usize {
        match self {
            Self::Websocket(partial) => partial.weight(),
            Self::Bytes(bytes) => bytes.capacity(),
        }
    }
}

/// Decodes what one client sends.
#[derive(Debug)]
pub struct Decoder<'i> {
    pub encoding: Encoding,
    /// The longest message, in bytes.
    pub max_message: usize,
    /// Inflates the messages of clients that may send compressed ones.
    pub inflater: &'i mut Inflater,
}

impl Decoder<'_> {
    /// Decodes `input` behind what `partial` keeps from earlier reads. Gives everything that is whole to `sink`, and leaves
    /// the rest in `partial`.
    pub fn decode(
        &mut self,
        input: &mut [u8],
        partial: &mut Option<PartialMessage>,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<(), Violation> {
        let before = partial.take();
        // Protocols other than websocket do not distinguish text from binary messages.
        let limit = self.max_message;
        let mut message = |message: &[u8]| sink(Incoming::Message(MessageKind::Binary, message));
        *partial = match self.encoding {
            Encoding::Websocket | Encoding::Deflated | Encoding::Gateway2 | Encoding::Gateway2Deflated => {
                self.websocket(input, before, self.encoding.is_deflated(), sink)?
            }
            Encoding::Text => bytes(before, |before| text::decode(input, limit, before, message))?,
            Encoding::Frame => bytes(before, |before| frame::decode(input, limit, before, message))?,
            Encoding::Tcp => {
                input.chunks(limit).for_each(&mut message);
                None
            }
        };
        Ok(())
    }

    fn websocket(
        &mut self,
        input: &mut [u8],
        before: Option<PartialMessage>,
        may_be_deflated: bool,
        sink: impl FnMut(Incoming<'_>),
    ) -> Result<Option<PartialMessage>, Violation> {
        let mut before = match before {
            Some(PartialMessage::Websocket(before)) => Some(before),
            _ => None,
        };
        let inflater = may_be_deflated.then_some(&mut *self.inflater);
        let mut decoder = websocket::FrameDecoder { max_message: self.max_message, inflater };
        decoder.decode(input, &mut before, sink)?;
        Ok(before.map(PartialMessage::Websocket))
    }
}

/// Decodes a protocol for which the bytes of a partial message are kept as they came.
fn bytes(
    before: Option<PartialMessage>,
    decode: impl FnOnce(&mut Vec<u8>) -> Result<(), Violation>,
) -> Result<Option<PartialMessage>, Violation> {
    let mut before = match before {
        Some(PartialMessage::Bytes(before)) => before,
        _ => Vec::new(),
    };
    decode(&mut before)?;
    Ok((!before.is_empty()).then_some(PartialMessage::Bytes(before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_framing_what_is_read_is_a_message() {
        let mut inflater = Inflater::default();
        let mut decoder = Decoder { encoding: Encoding::Tcp, max_message: 5, inflater: &mut inflater };
        let (mut messages, mut partial) = (Vec::new(), None);
        for input in [&b"one"[..], b"longer"] {
            let sink = |incoming: Incoming| messages.push(format!("{incoming:?}"));
            decoder.decode(&mut input.to_vec(), &mut partial, sink).unwrap();
        }
        assert!(partial.is_none());
        let expected = [&b"one"[..], b"longe", b"r"];
        assert_eq!(
            messages,
            expected.map(|bytes| format!("{:?}", Incoming::Message(MessageKind::Binary, bytes)))
        );
    }
}
