//! Messages of clients, whatever they speak.

use super::violation::Violation;
use super::websocket::{self, Incoming, Inflater, MessageKind};
use super::{Encoding, frame, text};

/// What a connection keeps between reads, only while something is not whole.
#[derive(Debug)]
pub enum PartialMessage {
    Websocket(websocket::PartialFrames),
    Bytes(Vec<u8>),
}

impl PartialMessage {
    /// It goes on without more input, since the decoder stopped for others to have their turn.
    pub fn is_behind(&self) -> bool {
        match self {
            Self::Websocket(unfinished) => unfinished.is_behind(),
            Self::Bytes(_) => false,
        }
    }

    /// It is in the middle of a message, which goes on by itself.
    pub fn is_inflating(&self) -> bool {
        match self {
            Self::Websocket(unfinished) => unfinished.is_inflating(),
            Self::Bytes(_) => false,
        }
    }

    /// It is before a message that begins once it may be kept when it is inflated in part.
    pub fn waits_to_inflate(&self) -> bool {
        match self {
            Self::Websocket(unfinished) => unfinished.waits_to_inflate(),
            Self::Bytes(_) => false,
        }
    }

    /// The bytes that it holds.
    pub fn weight(&self) -> usize {
        match self {
            Self::Websocket(unfinished) => unfinished.weight(),
            Self::Bytes(bytes) => bytes.capacity(),
        }
    }
}

#[derive(Debug)]
pub struct Decoder<'i> {
    pub form: Encoding,
    /// Longest message.
    pub max_message: usize,
    /// For those who may send compressed messages.
    pub inflater: &'i mut Inflater,
}

impl Decoder<'_> {
    /// Gives everything whole in `input`, and what stood in `unfinished` before it, to `sink`; the rest stays in
    /// `unfinished`.
    pub fn decode(
        &mut self,
        input: &mut [u8],
        unfinished: &mut Option<PartialMessage>,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<(), Violation> {
        let before = unfinished.take();
        // The others do not tell text from binary.
        let limit = self.max_message;
        let mut message = |message: &[u8]| sink(Incoming::Message(MessageKind::Binary, message));
        *unfinished = match self.form {
            Encoding::Websocket => self.websocket(input, before, false, sink)?,
            Encoding::Deflated => self.websocket(input, before, true, sink)?,
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

/// Decodes what keeps the bytes that are not whole.
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
        let mut decoder = Decoder { form: Encoding::Tcp, max_message: 5, inflater: &mut inflater };
        let (mut messages, mut unfinished) = (Vec::new(), None);
        for input in [&b"one"[..], b"longer"] {
            let sink = |incoming: Incoming| messages.push(format!("{incoming:?}"));
            decoder.decode(&mut input.to_vec(), &mut unfinished, sink).unwrap();
        }
        assert!(unfinished.is_none());
        let expected = [&b"one"[..], b"longe", b"r"];
        assert_eq!(
            messages,
            expected.map(|bytes| format!("{:?}", Incoming::Message(MessageKind::Binary, bytes)))
        );
    }
}
