//! Decodes the frames of a client, in place in the buffer into which the socket was read.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::inflate::{InflateProgress, Inflater};
use super::inflating::{Compressed, Inflating};
use super::message_kind::MessageKind;
use super::partial_parts::{FragmentsParts, PartialParts};
use super::violation::WebsocketViolation;
use crate::system::memory_reserve::{self};

/// What a decoder gives: a whole message or control frame of a client, or a sign that one is under way.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    Message(MessageKind, &'a [u8]),
    Ping(&'a [u8]),
    Pong,
    /// A part of a message that is not its last one.
    Fragment,
    /// A close frame, with its code if it has one. What the client sends after it is not decoded.
    Close(Option<u16>),
}

/// The input that a connection keeps between two reads. It is there only while a frame or a message is not whole.
#[derive(Debug, Default)]
pub struct PartialFrames {
    /// The bytes behind the last whole frame, or those that are not decoded yet.
    bytes: Vec<u8>,
    /// The fragments of a message of which the last one is missing.
    message: Option<Fragments>,
    /// A compressed message that is whole and not inflated yet, or inflated in part.
    inflating: Option<Inflating>,
    /// Whether `bytes` may hold whole frames, because the decoder stopped early so that other clients have their turn.
    is_behind: bool,
}

impl PartialFrames {
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Whether a message has been inflated in part, and its output so far is kept.
    pub(crate) fn is_inflating(&self) -> bool {
        self.inflating.as_ref().is_some_and(|one| one.begun.is_some())
    }

    /// Whether a message waits to be inflated from its beginning, until its output may be kept in part.
    pub(crate) fn waits_to_inflate(&self) -> bool {
        self.inflating.as_ref().is_some_and(|one| one.begun.is_none())
    }

    /// The number of bytes to which the message that is inflated in part was inflated so far.
    pub(crate) fn inflated(&self) -> usize {
        self.inflating.as_ref().map_or(0, Inflating::inflated)
    }

    pub(crate) fn parts(&self) -> PartialParts {
        PartialParts {
            bytes: self.bytes.clone(),
            fragments: self.message.as_ref().map(|message| FragmentsParts {
                is_text: message.kind == MessageKind::Text,
                is_deflated: message.is_deflated,
                bytes: message.bytes.clone(),
            }),
            inflating: self.inflating.as_ref().map(Inflating::parts),
            is_behind: self.is_behind,
        }
    }

    /// Goes on with what another process has kept. Gives `None` if that cannot be the input of any client.
    pub(crate) fn of_parts(parts: PartialParts) -> Option<Self> {
        let PartialParts { bytes, fragments, inflating, is_behind } = parts;
        let inflating = match inflating {
            Some(inflating) => Some(Inflating::of_parts(inflating, bytes.len())?),
            None => None,
        };
        let message = match fragments {
            Some(FragmentsParts { is_text, is_deflated, bytes }) => {
                let kind = MessageKind::of_text(is_text);
                let mut message = Fragments { kind, is_deflated, bytes, checked: 0 };
                message.check().ok()?;
                Some(message)
            }
            None => None,
        };
        let is_behind = is_behind || inflating.is_some();
        Some(Self { bytes, message, inflating, is_behind })
    }

    pub(crate) fn weight(&self) -> usize {
        self.bytes.capacity()
            + self.message.as_ref().map_or(0, |message| message.bytes.capacity())
            + self.inflating.as_ref().map_or(0, Inflating::weight)
    }
}

/// The fragments of a message that have come so far.
#[derive(Debug)]
struct Fragments {
    kind: MessageKind,
    is_deflated: bool,
    bytes: Vec<u8>,
    /// For an uncompressed text: how many of the bytes are known to be whole characters.
    checked: usize,
}

impl Fragments {
    fn check(&mut self) -> Result<(), WebsocketViolation> {
        if self.is_deflated { Ok(()) } else { check(self.kind, &self.bytes, &mut self.checked) }
    }
}

/// Refuses a text that cannot become UTF-8 as soon as that is known, before its last fragment. The first `checked` bytes are
/// known to be whole characters.
fn check(kind: MessageKind, bytes: &[u8], checked: &mut usize) -> Result<(), WebsocketViolation> {
    if kind == MessageKind::Text {
        match std::str::from_utf8(&bytes[*checked..]) {
            Ok(text) => *checked += text.len(),
            Err(error) if error.error_len().is_none() => *checked += error.valid_up_to(),
            Err(_) => return Err(WebsocketViolation::NotUtf8),
        }
    }
    Ok(())
}

/// Decodes the frames of one client.
#[derive(Debug)]
pub struct FrameDecoder<'i> {
    /// The longest message, in bytes: all its fragments together, decompressed.
    pub max_message: usize,
    /// Inflates compressed messages, or `None` for a client that has not agreed to compression.
    pub inflater: Option<&'i mut Inflater>,
}

impl FrameDecoder<'_> {
    /// Decodes `input` behind what `partial` keeps from earlier reads. Gives everything that is whole to `sink`, and leaves
    /// the rest in `partial`. The decoder also stops when the inflater has given as many bytes as it is allowed to. Then the
    /// rest of the message and everything behind it stay in `partial` too, and decoding goes on with the next call, whose
    /// input may be empty.
    pub fn decode(
        &mut self,
        input: &mut [u8],
        partial: &mut Option<PartialFrames>,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<(), WebsocketViolation> {
        let PartialFrames { mut bytes, mut message, mut inflating, .. } = partial.take().unwrap_or_default();
        let used = if bytes.is_empty() {
            let used = self.frames(input, &mut message, &mut inflating, &mut sink)?;
            memory_reserve::append(&mut bytes, &input[used..])?;
            0
        } else {
            memory_reserve::append(&mut bytes, input)?;
            self.frames(&mut bytes, &mut message, &mut inflating, &mut sink)?
        };
        bytes.drain(..used);
        if !bytes.is_empty() || message.is_some() || inflating.is_some() {
            let is_behind = inflating.is_some() || self.has_spent_all() && !bytes.is_empty();
            *partial = Some(PartialFrames { bytes, message, inflating, is_behind });
        }
        Ok(())
    }

    fn has_spent_all(&self) -> bool {
        self.inflater.as_ref().is_some_and(|inflater| inflater.has_spent_all())
    }

    /// Decodes the whole frames at the start of `buffer`, and returns the number of bytes that they took. The message that is
    /// being inflated comes before them, and keeps its bytes in the buffer until it is done.
    fn frames(
        &mut self,
        buffer: &mut [u8],
        message: &mut Option<Fragments>,
        inflating: &mut Option<Inflating>,
        sink: &mut impl FnMut(Incoming<'_>),
    ) -> Result<usize, WebsocketViolation> {
        let mut start = 0;
        if inflating.is_some() {
            if self.has_spent_all() {
                return Ok(0);
            }
            start = self.inflate(inflating, buffer, sink)?;
        }
        while inflating.is_none()
            && !self.has_spent_all()
            && let Some(frame) = self.next_frame(&mut buffer[start..], message)?
        {
            let begin = start;
            start += frame.length;
            let payload = frame.payload;
            match frame.opcode {
                OpCode::Control(Control::Ping) => sink(Incoming::Ping(payload)),
                OpCode::Control(Control::Pong) => sink(Incoming::Pong),
                OpCode::Control(_) => {
                    sink(Incoming::Close(close_code(payload)?));
                    return Ok(buffer.len());
                }
                OpCode::Data(Data::Continue) => {
                    let Some(mut partial) = message.take() else {
                        return Err(WebsocketViolation::Fragmentation);
                    };
                    memory_reserve::append(&mut partial.bytes, payload)?;
                    if frame.is_final && partial.is_deflated {
                        *inflating = Some(Inflating::new(partial.kind, Compressed::Fragments(partial.bytes)));
                        self.inflate(inflating, &[], sink)?;
                    } else if frame.is_final {
                        give(partial.kind, &partial.bytes, partial.checked, sink)?;
                    } else {
                        partial.check()?;
                        *message = Some(partial);
                        sink(Incoming::Fragment);
                    }
                }
                OpCode::Data(data) => {
                    let kind =
                        if matches!(data, Data::Text) { MessageKind::Text } else { MessageKind::Binary };
                    if frame.is_final && frame.is_deflated {
                        let payload = frame.length - payload.len()..frame.length;
                        *inflating = Some(Inflating::new(kind, Compressed::Frame(payload)));
                        start = begin + self.inflate(inflating, &buffer[begin..], sink)?;
                    } else if frame.is_final {
                        give(kind, payload, 0, sink)?;
                    } else {
                        let (is_deflated, bytes) = (frame.is_deflated, memory_reserve::copy(payload)?);
                        let mut partial = Fragments { kind, is_deflated, bytes, checked: 0 };
                        partial.check()?;
                        *message = Some(partial);
                        sink(Incoming::Fragment);
                    }
                }
            }
        }
        Ok(start)
    }

    /// Checks the frame header at the start of `buffer`, and unmasks the payload. Gives `None` if the frame is not whole yet; a
    /// wrong header is refused without waiting for the payload.
    fn next_frame<'a>(
        &self,
        buffer: &'a mut [u8],
        message: &Option<Fragments>,
    ) -> Result<Option<Frame<'a>>, WebsocketViolation> {
        let mut cursor = Cursor::new(&*buffer);
        let Some((header, length)) =
            FrameHeader::parse(&mut cursor).map_err(|_| WebsocketViolation::Reserved)?
        else {
            return Ok(None);
        };
        let start = cursor.position() as usize;

        // RSV1 marks the first frame of a compressed message and must not be set on any other.
        let may_be_deflated =
            self.inflater.is_some() && matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        if header.rsv1 && !may_be_deflated || header.rsv2 || header.rsv3 {
            return Err(WebsocketViolation::Reserved);
        }
        let mask = header.mask.ok_or(WebsocketViolation::Unmasked)?;
        let before = match header.opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                return Err(WebsocketViolation::Reserved);
            }
            OpCode::Control(_) if !header.is_final || length > 125 => {
                return Err(WebsocketViolation::Control);
            }
            OpCode::Control(_) => 0,
            OpCode::Data(data) => match (data, message) {
                (Data::Continue, Some(before)) => before.bytes.len(),
                (Data::Continue, None) | (_, Some(_)) => return Err(WebsocketViolation::Fragmentation),
                (_, None) => 0,
            },
        };
        if length > (self.max_message - before.min(self.max_message)) as u64
            && matches!(header.opcode, OpCode::Data(_))
        {
            return Err(WebsocketViolation::TooBig { limit: self.max_message });
        }

        // The length fits into `usize`: a control frame has at most 125 bytes, any other frame at most `max_message`.
        let end = start + length as usize;
        let Some(payload) = buffer.get_mut(start..end) else { return Ok(None) };
        unmask(payload, mask);
        let (is_final, is_deflated) = (header.is_final, header.rsv1);
        Ok(Some(Frame { opcode: header.opcode, is_final, is_deflated, payload, length: end }))
    }

    /// Inflates a message as far as is allowed now, and gives it to `sink` if it is whole. Returns the number of bytes at the
    /// start of `buffer` that are done with: those of the message's frame, or none if it came in fragments.
    fn inflate(
        &mut self,
        inflating: &mut Option<Inflating>,
        buffer: &[u8],
        sink: &mut impl FnMut(Incoming<'_>),
    ) -> Result<usize, WebsocketViolation> {
        // Without an inflater no frame was accepted as compressed.
        let (Some(mut one), Some(inflater)) = (inflating.take(), &mut self.inflater) else { return Ok(0) };
        let begun = one.begun.take();
        match inflater.inflate(one.compressed(buffer), begun, self.max_message)? {
            InflateProgress::Whole(message) => {
                give(one.kind, message, one.checked, sink)?;
                Ok(one.length())
            }
            InflateProgress::Waits(begun) => {
                if let Some(stream) = &begun {
                    check(one.kind, stream.so_far(), &mut one.checked)?;
                }
                one.begun = begun;
                *inflating = Some(one);
                Ok(0)
            }
        }
    }
}

/// Gives a whole message to `sink`, after a check of the text. The first `checked` bytes are known to be whole characters.
fn give(
    kind: MessageKind,
    message: &[u8],
    checked: usize,
    sink: &mut impl FnMut(Incoming<'_>),
) -> Result<(), WebsocketViolation> {
    if kind == MessageKind::Text && std::str::from_utf8(&message[checked..]).is_err() {
        return Err(WebsocketViolation::NotUtf8);
    }
    sink(Incoming::Message(kind, message));
    Ok(())
}

/// A whole frame at the start of a buffer.
struct Frame<'a> {
    opcode: OpCode,
    is_final: bool,
    is_deflated: bool,
    payload: &'a [u8],
    /// The length of the frame in bytes, header included.
    length: usize,
}

/// Checks the payload of a close frame by RFC 6455 7.4: the code must be one that may be sent, and the reason must be UTF-8.
/// Gives the code, if there is one.
fn close_code(payload: &[u8]) -> Result<Option<u16>, WebsocketViolation> {
    match payload {
        [] => Ok(None),
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => {
                std::str::from_utf8(reason).map(|_| Some(code)).map_err(|_| WebsocketViolation::NotUtf8)
            }
            _ => Err(WebsocketViolation::CloseCode),
        },
        [_] => Err(WebsocketViolation::CloseCode),
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..=125 => bytes.push(0x80 | length as u8),
            length => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&MASK);
        bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    fn decoder() -> FrameDecoder<'static> {
        FrameDecoder { max_message: 1000, inflater: None }
    }

    fn decode_in_pieces(bytes: &[u8], size: usize) -> Result<Vec<String>, WebsocketViolation> {
        decode_with(decoder(), bytes, size)
    }

    /// Decodes `bytes` in pieces of `size`, and gives what came out as text.
    fn decode_with(
        mut decoder: FrameDecoder,
        bytes: &[u8],
        size: usize,
    ) -> Result<Vec<String>, WebsocketViolation> {
        let mut partial = None;
        let mut out = Vec::new();
        for piece in bytes.chunks(size) {
            decoder.decode(&mut piece.to_vec(), &mut partial, |incoming| {
                out.push(match incoming {
                    Incoming::Message(kind, payload) => {
                        format!("{kind:?} {}", String::from_utf8_lossy(payload))
                    }
                    Incoming::Ping(payload) => format!("Ping {}", String::from_utf8_lossy(payload)),
                    Incoming::Fragment => return,
                    other => format!("{other:?}"),
                });
            })?;
        }
        Ok(out)
    }

    fn decode(bytes: &[u8]) -> Result<Vec<String>, WebsocketViolation> {
        decode_in_pieces(bytes, usize::MAX)
    }

    #[test]
    fn a_conversation_in_pieces_of_every_size() {
        let long = "l".repeat(300);
        let bytes = [
            frame(0x81, "grüß".as_bytes()),
            frame(0x01, b"one "),
            frame(0x89, b"in between"),
            frame(0x00, "gr\u{fc}".as_bytes()),
            frame(0x80, b""),
            frame(0x82, long.as_bytes()),
            frame(0x8a, b""),
            frame(0x88, b"\x03\xe8bye"),
            b"after the close nothing is read".to_vec(),
        ]
        .concat();
        let binary = format!("Binary {long}");
        let expected =
            ["Text grüß", "Ping in between", "Text one grü", binary.as_str(), "Pong", "Close(Some(1000))"];
        for size in 1..bytes.len() - 31 {
            let out = decode_in_pieces(&bytes[..bytes.len() - 31], size);
            assert_eq!(out.unwrap(), expected, "in pieces of {size}");
        }
        assert_eq!(decode(&bytes).unwrap(), expected);
    }

    #[test]
    fn nothing_is_kept_when_all_is_whole() {
        let mut partial = None;
        decoder().decode(&mut frame(0x81, b"whole"), &mut partial, |_| {}).unwrap();
        assert!(partial.is_none());
    }

    #[test]
    fn compressed_messages_of_those_who_may_send_them() {
        // RFC 7692 7.2.3.1: "Hello", in one frame and in two.
        let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
        let bytes = [
            frame(0xc1, hello),
            frame(0x41, &hello[..3]),
            frame(0x89, b"in between"),
            frame(0x80, &hello[3..]),
            frame(0x81, b"plain"),
        ]
        .concat();
        let mut inflater = Inflater::default();
        let mut decode = |bytes: &[u8], size| {
            decode_with(FrameDecoder { max_message: 1000, inflater: Some(&mut inflater) }, bytes, size)
        };
        for size in 1..bytes.len() {
            let out = decode(&bytes, size).unwrap();
            assert_eq!(
                out,
                ["Text Hello", "Ping in between", "Text Hello", "Text plain"],
                "in pieces of {size}"
            );
        }
        assert_eq!(decode(&frame(0xc9, b""), 99), Err(WebsocketViolation::Reserved));
        assert_eq!(
            decode(&[frame(0x41, hello), frame(0xc0, b"")].concat(), 99),
            Err(WebsocketViolation::Reserved)
        );
        assert_eq!(decode(&frame(0xc1, b"\xff\xff"), 99), Err(WebsocketViolation::Deflate));
        // The deflate block stores one byte that is not UTF-8.
        assert_eq!(
            decode(&frame(0xc1, b"\x00\x01\x00\xfe\xff\xff\x00"), 99),
            Err(WebsocketViolation::NotUtf8)
        );
    }

    #[test]
    fn what_was_inflated_stops_the_decoder_between_two_messages() {
        let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
        let mut bytes =
            [frame(0xc1, hello).repeat(3), frame(0x81, b"plain"), frame(0xc1, hello), vec![0x81]].concat();
        let mut inflater = Inflater::default();
        let (mut partial, mut steps) = (None, Vec::new());
        let mut input = &mut bytes[..];
        loop {
            inflater.allow(6, true);
            let mut decoder = FrameDecoder { max_message: 1000, inflater: Some(&mut inflater) };
            let mut messages = 0;
            decoder.decode(input, &mut partial, |_| messages += 1).unwrap();
            steps.push((messages, inflater.inflated()));
            if !partial.as_ref().unwrap().is_behind() {
                break;
            }
            input = &mut [];
        }
        // The byte that is left begins the next frame.
        assert_eq!(steps, [(2, 10), (3, 10), (0, 0)]);
        assert_eq!(partial.unwrap().bytes, [0x81]);
    }

    #[test]
    fn fragments_are_told() {
        let bytes = [frame(0x01, b"a"), frame(0x00, b""), frame(0x80, b"b"), frame(0x81, b"c")].concat();
        let mut fragments = 0;
        let count = |incoming: Incoming<'_>| fragments += usize::from(incoming == Incoming::Fragment);
        decoder().decode(&mut bytes.clone(), &mut None, count).unwrap();
        assert_eq!(fragments, 2);
    }

    #[test]
    fn violations() {
        assert_eq!(decode(b"\x81\x01x"), Err(WebsocketViolation::Unmasked));
        assert_eq!(decode(&frame(0xc1, b"")), Err(WebsocketViolation::Reserved));
        assert_eq!(decode(&frame(0x83, b"")), Err(WebsocketViolation::Reserved));
        assert_eq!(decode(&frame(0x8b, b"")), Err(WebsocketViolation::Reserved));
        assert_eq!(decode(&frame(0x09, b"")), Err(WebsocketViolation::Control));
        assert_eq!(decode(&frame(0x89, &[b'x'; 126])), Err(WebsocketViolation::Control));
        assert_eq!(decode(&frame(0x80, b"")), Err(WebsocketViolation::Fragmentation));
        assert_eq!(
            decode(&[frame(0x01, b"a"), frame(0x81, b"b")].concat()),
            Err(WebsocketViolation::Fragmentation)
        );
        assert_eq!(decode(&frame(0x81, b"\xff")), Err(WebsocketViolation::NotUtf8));
        assert_eq!(decode(&frame(0x88, b"\x03\xe8\xff")), Err(WebsocketViolation::NotUtf8));
        // A fragment that is not UTF-8 is refused before the last one comes. A character that is cut off at the end of a fragment
        // is no error.
        assert_eq!(decode(&frame(0x01, b"\xff")), Err(WebsocketViolation::NotUtf8));
        assert_eq!(
            decode(&[frame(0x01, b"\xc3"), frame(0x00, b"x")].concat()),
            Err(WebsocketViolation::NotUtf8)
        );
        assert_eq!(
            decode(&[frame(0x01, b"\xc3"), frame(0x80, b"")].concat()),
            Err(WebsocketViolation::NotUtf8)
        );
        assert_eq!(decode(&[frame(0x01, b"\xc3"), frame(0x80, b"\xbc")].concat()).unwrap(), ["Text \u{fc}"]);
        for code in [b"\x03\xec".as_slice(), b"\x03", b"\x00\x00", b"\x0b\xb7"] {
            assert_eq!(decode(&frame(0x88, code)), Err(WebsocketViolation::CloseCode), "{code:?}");
        }
    }

    #[test]
    fn too_big_is_refused_by_the_header_alone() {
        let too_big = Err(WebsocketViolation::TooBig { limit: 1000 });
        assert_eq!(decode(&frame(0x82, &[0; 1001])[..8]), too_big);
        assert_eq!(decode(b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04"), too_big);
        assert_eq!(decode(&[frame(0x02, &[0; 600]), frame(0x80, &[0; 401])[..8].to_vec()].concat()), too_big);
        assert!(decode(&[frame(0x02, &[0; 600]), frame(0x80, &[0; 400])].concat()).is_ok());
    }
}
