//! The protocols that listeners speak, and the encodings in which clients get messages.

use std::fmt;

use serde::Deserialize;

/// What the clients of a listener speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Websocket,
    /// Messages are lines: Workerman's `text` protocol.
    Text,
    /// Each message follows its length: Workerman's `frame` protocol.
    Frame,
    /// The bytes have no framing: what one read of the socket gives is a message, cut at `max_message`.
    Tcp,
}

impl Protocol {
    pub const ALL: [Self; 4] = [Self::Websocket, Self::Text, Self::Frame, Self::Tcp];

    pub fn name(self) -> &'static str {
        match self {
            Self::Websocket => "websocket",
            Self::Text => "text",
            Self::Frame => "frame",
            Self::Tcp => "tcp",
        }
    }

    /// The form of messages for a client of this protocol that takes no compressed frames.
    pub fn encoding(self) -> Encoding {
        match self {
            Self::Websocket => Encoding::Websocket,
            Self::Text => Encoding::Text,
            Self::Frame => Encoding::Frame,
            Self::Tcp => Encoding::Tcp,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The form in which a client gets messages: its protocol, and whether it has agreed to compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    Websocket,
    /// Websocket frames, which are compressed where that makes them shorter.
    Deflated,
    Text,
    Frame,
    Tcp,
}

impl Encoding {
    pub const COUNT: usize = Self::Tcp as usize + 1;

    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Websocket | Self::Deflated)
    }
}
