//! Encodes messages to clients. A message is encoded once for all clients that take it in the same form, and they share the
//! bytes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gateway_wire::client_protocol;

use super::websocket::{self, MessageKind};
use super::{Encoding, frame};

/// The encodings that messages get beside plain websocket frames. They are needed once some client has come that takes
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WantedEncodings {
    /// Whether some client takes compressed websocket frames.
    pub deflated: bool,
    /// Whether some client speaks another protocol than websocket.
    pub non_websocket: bool,
}

/// A message in the encodings in which clients get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub websocket: Bytes,
    /// The form for clients that take compressed frames, if compression makes the message shorter. Without it they get the plain
    /// frame.
    pub deflated: Option<Bytes>,
    pub non_websocket: NonWebsocket,
    /// The form for clients of the subprotocol `gateway.2`, if it is another one, as the message begins like control.
    pub escaped: Option<Box<Escaped>>,
}

/// A message in the encodings for clients of the subprotocol `gateway.2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escaped {
    pub websocket: Bytes,
    /// The compressed form, if it is shorter.
    pub deflated: Option<Bytes>,
}

/// The form of a message for clients of other protocols than websocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NonWebsocket {
    /// The message was encoded while no client needed these encodings.
    Missing,
    /// The bytes are the same as those for websocket clients.
    Raw,
    Framed(Arc<Framed>),
}

/// A message in the encodings of the other protocols; they share their memory where they can.
#[derive(Debug, PartialEq, Eq)]
pub struct Framed {
    pub text: Bytes,
    pub frame: Bytes,
    pub tcp: Bytes,
}

impl Encoded {
    pub fn new(kind: MessageKind, payload: &[u8], wanted: WantedEncodings) -> Self {
        Self {
            websocket: websocket::message(kind, payload),
            deflated: wanted.deflated.then(|| websocket::deflated_message(kind, payload)).flatten(),
            non_websocket: if wanted.non_websocket {
                NonWebsocket::Framed(Arc::new(Framed::new(payload)))
            } else {
                NonWebsocket::Missing
            },
            escaped: escaped(kind, payload, wanted.deflated),
        }
    }

    /// Makes a text message that has a header of the client protocol. Only clients of the subprotocol `gateway.2` may get it.
    pub fn with_header(message: &[u8], wanted: WantedEncodings) -> Self {
        let wanted = WantedEncodings { non_websocket: false, ..wanted };
        Self { escaped: None, ..Self::new(MessageKind::Text, message, wanted) }
    }

    /// Makes a message of bytes that go to clients of all protocols as they are, without framing.
    pub fn raw(bytes: Bytes) -> Self {
        Self { websocket: bytes, deflated: None, non_websocket: NonWebsocket::Raw, escaped: None }
    }

    /// Whether these are bytes without framing, which nobody can count as messages.
    pub fn is_raw(&self) -> bool {
        self.non_websocket == NonWebsocket::Raw
    }

    /// Joins messages, one behind the other, in each form.
    pub fn concat(messages: &[Self]) -> Self {
        let has_deflated = messages.iter().any(|message| message.deflated.is_some());
        let has_escaped = messages.iter().any(|message| message.escaped.is_some());
        let encoding = |encoding| concat(messages.iter().map(|message| message.encoding(encoding)));
        let non_websocket = match messages.first().map(|first| &first.non_websocket) {
            Some(first @ (NonWebsocket::Missing | NonWebsocket::Raw))
                if messages.iter().all(|message| message.non_websocket == *first) =>
            {
                first.clone()
            }
            _ => NonWebsocket::Framed(Arc::new(Framed {
                text: encoding(Encoding::Text),
                frame: encoding(Encoding::Frame),
                tcp: encoding(Encoding::Tcp),
            })),
        };
        Self {
            websocket: encoding(Encoding::Websocket),
            deflated: has_deflated.then(|| encoding(Encoding::Deflated)),
            non_websocket,
            escaped: has_escaped.then(|| {
                let websocket = encoding(Encoding::Gateway2);
                Box::new(Escaped {
                    websocket,
                    deflated: has_deflated.then(|| encoding(Encoding::Gateway2Deflated)),
                })
            }),
        }
    }

    /// The bytes for clients of this encoding. They are empty if no client needed the encoding when the message was encoded.
    pub fn encoding(&self, encoding: Encoding) -> &[u8] {
        match (encoding, &self.non_websocket) {
            (Encoding::Websocket, _) => &self.websocket,
            (Encoding::Deflated, _) => self.deflated.as_ref().unwrap_or(&self.websocket),
            (Encoding::Gateway2, _) => {
                self.escaped.as_ref().map_or(&self.websocket, |escaped| &escaped.websocket)
            }
            (Encoding::Gateway2Deflated, _) => match &self.escaped {
                Some(escaped) => escaped.deflated.as_ref().unwrap_or(&escaped.websocket),
                None => self.deflated.as_ref().unwrap_or(&self.websocket),
            },
            (_, NonWebsocket::Missing) => &[],
            (_, NonWebsocket::Raw) => &self.websocket,
            (Encoding::Text, NonWebsocket::Framed(framed)) => &framed.text,
            (Encoding::Frame, NonWebsocket::Framed(framed)) => &framed.frame,
            (Encoding::Tcp, NonWebsocket::Framed(framed)) => &framed.tcp,
        }
    }

    /// The memory of all encodings, in bytes.
    pub fn weight(&self) -> usize {
        let non_websocket = match &self.non_websocket {
            NonWebsocket::Framed(framed) => size_of::<Framed>() + framed.weight(),
            NonWebsocket::Missing | NonWebsocket::Raw => 0,
        };
        let escaped = self.escaped.as_ref().map_or(0, |escaped| {
            size_of::<Escaped>() + escaped.websocket.len() + escaped.deflated.as_ref().map_or(0, Bytes::len)
        });
        self.websocket.len() + self.deflated.as_ref().map_or(0, Bytes::len) + non_websocket + escaped
    }
}

impl Framed {
    fn new(payload: &[u8]) -> Self {
        let (frame, tcp, text) = frame::encode_with_line_feed(payload);
        Self { text, frame, tcp }
    }

    /// The memory of these encodings in bytes, at most, as they may share it.
    fn weight(&self) -> usize {
        self.text.len() + self.frame.len() + self.tcp.len()
    }
}

/// The form of a message for clients of the subprotocol `gateway.2`, if it is another one.
fn escaped(kind: MessageKind, payload: &[u8], wants_deflated: bool) -> Option<Box<Escaped>> {
    if kind != MessageKind::Text {
        return None;
    }
    let escaped = client_protocol::escape_bytes(payload)?;
    Some(Box::new(Escaped {
        websocket: websocket::message(kind, &escaped),
        deflated: wants_deflated.then(|| websocket::deflated_message(kind, &escaped)).flatten(),
    }))
}

/// Encodes a message for one client.
pub fn message(encoding: Encoding, kind: MessageKind, payload: &[u8]) -> Bytes {
    match encoding {
        Encoding::Gateway2 | Encoding::Gateway2Deflated => escaped(kind, payload, false)
            .map_or_else(|| websocket::message(kind, payload), |escaped| escaped.websocket),
        Encoding::Websocket | Encoding::Deflated => websocket::message(kind, payload),
        Encoding::Text => Framed::new(payload).text,
        Encoding::Frame => Framed::new(payload).frame,
        Encoding::Tcp => Framed::new(payload).tcp,
    }
}

fn concat<'a>(parts: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let mut joined = BytesMut::with_capacity(parts.clone().map(<[u8]>::len).sum());
    parts.for_each(|part| joined.extend_from_slice(part));
    joined.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encodings(message: &Encoded) -> [&[u8]; Encoding::COUNT] {
        use Encoding::{Deflated, Frame, Gateway2, Gateway2Deflated, Tcp, Text, Websocket};
        [Websocket, Deflated, Gateway2, Gateway2Deflated, Text, Frame, Tcp]
            .map(|encoding| message.encoding(encoding))
    }

    #[test]
    fn what_begins_like_control_is_escaped_for_those_who_would_take_it_for_control() {
        let wanted = WantedEncodings { deflated: true, non_websocket: true };
        let long = format!("gateway:{}", "x".repeat(500));
        let control = Encoded::new(MessageKind::Text, b"gateway:ping", wanted);
        let [websocket, deflated, gateway2, gateway2_deflated, text, ..] = encodings(&control);
        assert_eq!(
            [websocket, deflated, &text[..12]],
            [&b"\x81\x0cgateway:ping"[..], b"\x81\x0cgateway:ping", b"gateway:ping"]
        );
        assert_eq!([gateway2, gateway2_deflated], [b"\x81\x16gateway:= gateway:ping"; 2]);
        assert_eq!(message(Encoding::Gateway2, MessageKind::Text, b"gateway:ping"), gateway2);
        assert_eq!(message(Encoding::Websocket, MessageKind::Text, b"gateway:ping"), websocket);
        let binary = Encoded::new(MessageKind::Binary, b"gateway:ping", wanted);
        assert_eq!(binary.encoding(Encoding::Gateway2), b"\x82\x0cgateway:ping");
        let long = Encoded::new(MessageKind::Text, long.as_bytes(), wanted);
        assert!(long.encoding(Encoding::Gateway2Deflated).len() < 60);
        assert_ne!(long.encoding(Encoding::Gateway2Deflated), long.encoding(Encoding::Deflated));
        let plain = Encoded::new(MessageKind::Text, b"plain", wanted);
        let joined = Encoded::concat(&[plain.clone(), control, plain]);
        assert_eq!(
            joined.encoding(Encoding::Gateway2),
            b"\x81\x05plain\x81\x16gateway:= gateway:ping\x81\x05plain"
        );
        assert_eq!(joined.encoding(Encoding::Websocket), b"\x81\x05plain\x81\x0cgateway:ping\x81\x05plain");
    }

    #[test]
    fn forms_are_made_for_those_who_are_here() {
        let nobody = Encoded::new(MessageKind::Text, b"hi", WantedEncodings::default());
        assert_eq!(
            encodings(&nobody),
            [&b"\x81\x02hi"[..], b"\x81\x02hi", b"\x81\x02hi", b"\x81\x02hi", b"", b"", b""]
        );
        let wanted = WantedEncodings { deflated: true, non_websocket: true };
        assert_eq!(
            encodings(&Encoded::new(MessageKind::Text, b"hi", wanted))[4..],
            [&b"hi\n"[..], b"\0\0\0\x06hi", b"hi"]
        );
        let long = Encoded::new(MessageKind::Text, &[b'x'; 500], wanted);
        assert!(long.encoding(Encoding::Deflated).len() < 50);
        assert!(long.weight() > 1000);
    }

    #[test]
    fn raw_bytes_are_the_same_for_all() {
        assert_eq!(encodings(&Encoded::raw(Bytes::from("raw"))), [b"raw"; Encoding::COUNT]);
    }

    #[test]
    fn each_form_is_joined_by_itself() {
        let wanted = WantedEncodings { deflated: false, non_websocket: true };
        let early = Encoded::new(MessageKind::Text, b"early", WantedEncodings::default());
        let late = Encoded::new(MessageKind::Text, b"late", wanted);
        let raw = Encoded::raw(Bytes::from("raw"));
        let joined = Encoded::concat(&[early.clone(), late, raw.clone()]);
        assert_eq!(encodings(&joined)[0], b"\x81\x05early\x81\x04lateraw");
        assert_eq!(encodings(&joined)[4..], [&b"late\nraw"[..], b"\0\0\0\x08lateraw", b"lateraw"]);
        assert_eq!(Encoded::concat(&[early.clone(), early]).non_websocket, NonWebsocket::Missing);
        assert_eq!(Encoded::concat(&[raw.clone(), raw]).non_websocket, NonWebsocket::Raw);
    }
}
