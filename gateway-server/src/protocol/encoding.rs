//! What a listener's clients speak, and in which form each of them gets messages.

use std::fmt;

use serde::Deserialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Websocket,
    /// One line a message.
    Text,
    /// A length and a message.
    Frame,
    /// Bytes without framing.
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

    /// The form of messages for a client that takes no compressed frames.
    pub fn form(self) -> Encoding {
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

/// A client's protocol, with what it has agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    Websocket,
    /// Websocket frames, compressed where that makes them shorter.
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
