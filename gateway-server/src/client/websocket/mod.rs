//! RFC 6455 after the handshake.

mod decode;
mod encode;

pub use decode::{Decoder, Incoming, Kind, Unfinished, Violation};
pub use encode::{close, message, ping, pong};
