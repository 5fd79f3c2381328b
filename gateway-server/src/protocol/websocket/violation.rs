//! The violations of the websocket protocol for which a client is closed.

use crate::protocol::close::{self, Close};
use crate::system::memory_reserve::NoMemory;

/// The reason why a websocket client is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebsocketViolation {
    #[error("a frame of the client is not masked")]
    Unmasked,
    #[error("a frame has reserved bits or opcodes")]
    Reserved,
    #[error("a control frame is fragmented or longer than 125 bytes")]
    Control,
    #[error("a fragment continues nothing, or a new message begins inside another")]
    Fragmentation,
    #[error("a close frame has a code that must not be sent")]
    CloseCode,
    #[error("a compressed message cannot be decompressed")]
    Deflate,
    #[error("a text message or close reason is not UTF-8")]
    NotUtf8,
    #[error("a message is over the limit of {limit} bytes (max_message)")]
    TooBig { limit: usize },
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
}

impl WebsocketViolation {
    pub fn close(self) -> Close {
        match self {
            Self::NotUtf8 => close::NOT_UTF8,
            Self::TooBig { .. } => close::MESSAGE_TOO_BIG,
            Self::NoMemory(_) => close::NO_MEMORY,
            _ => close::PROTOCOL_ERROR,
        }
    }
}
