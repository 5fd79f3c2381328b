//! The violations for which a client is closed, for every protocol.

use super::close::{self, Close};
use super::websocket;
use crate::system::memory_reserve::NoMemory;

/// The reason why a client is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error(transparent)]
    Websocket(#[from] websocket::WebsocketViolation),
    #[error("a message is over the limit of {limit} bytes (max_message)")]
    TooBig { limit: usize },
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
    #[error("a message says that it has {0} bytes with its length, which alone has 4")]
    Length(u32),
}

impl Violation {
    /// Whether the server has too little memory, which is not the client's fault.
    pub fn is_for_want_of_memory(self) -> bool {
        matches!(self, Self::NoMemory(_) | Self::Websocket(websocket::WebsocketViolation::NoMemory(_)))
    }

    /// What a websocket client is told in its close frame. Clients of other protocols only see the end of the connection.
    pub fn close(self) -> Close {
        match self {
            Self::Websocket(violation) => violation.close(),
            Self::TooBig { .. } => close::MESSAGE_TOO_BIG,
            Self::Length(_) => close::PROTOCOL_ERROR,
            Self::NoMemory(_) => close::NO_MEMORY,
        }
    }
}
