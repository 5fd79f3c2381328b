//! What clients speak once established: bytes in, messages out, without I/O.

pub mod close;
mod decode;
mod encode;
mod encoding;
mod frame;
mod text;
pub mod websocket;

pub use decode::{Decoder, Unfinished, Violation};
pub use encode::{Encoded, NonWebsocket, WantedEncodings, message};
pub use encoding::{Encoding, Protocol};
