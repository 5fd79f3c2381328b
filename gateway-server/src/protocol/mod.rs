//! The protocols of clients after the handshake: they turn bytes into messages and messages into bytes, without I/O.

pub mod close;
mod decode;
mod encode;
mod encoding;
mod frame;
mod text;
mod violation;
pub mod websocket;

pub use decode::{Decoder, PartialMessage};
pub use encode::{Encoded, NonWebsocket, WantedEncodings, message};
pub use encoding::{Encoding, Protocol};
pub use violation::Violation;
