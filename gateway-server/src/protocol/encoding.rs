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

/// The form in which a client gets messages: its protocol and subprotocol, and whether it has agreed to compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    Websocket,
    /// Websocket frames, which are compressed where that makes them shorter.
    Deflated,
    /// Websocket frames of the subprotocol `gateway.2`.
    Gateway2,
    /// Websocket frames of the subprotocol `gateway.2`, which are compressed where that makes them shorter.
    Gateway2Deflated,
    Text,
    Frame,
    Tcp,
}

impl Encoding {
    pub const COUNT: usize = Self::Tcp as usize + 1;

    /// All encodings, in the order of their numbers.
    const ALL: [Self; Self::COUNT] = [
        Self::Websocket,
        Self::Deflated,
        Self::Gateway2,
        Self::Gateway2Deflated,
        Self::Text,
        Self::Frame,
        Self::Tcp,
    ];

    /// The encoding that has this number among all encodings.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Websocket | Self::Deflated | Self::Gateway2 | Self::Gateway2Deflated)
    }

    /// Whether the client has agreed to compression.
    pub fn is_deflated(self) -> bool {
        matches!(self, Self::Deflated | Self::Gateway2Deflated)
    }

    /// Whether the client speaks the subprotocol `gateway.2`, in which both ends count messages.
    pub fn is_gateway2(self) -> bool {
        matches!(self, Self::Gateway2 | Self::Gateway2Deflated)
    }

    /// The encoding of a websocket client.
    pub fn of_websocket(is_gateway2: bool, is_deflated: bool) -> Self {
        match (is_gateway2, is_deflated) {
            (false, false) => Self::Websocket,
            (false, true) => Self::Deflated,
            (true, false) => Self::Gateway2,
            (true, true) => Self::Gateway2Deflated,
        }
    }
}
