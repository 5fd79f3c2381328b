//! RFC 6455 after the handshake.

mod decode;
mod deflate;
mod encode;

pub use decode::{Decoder, Incoming, Kind, Unfinished, Violation};
pub use deflate::{ACCEPTED as DEFLATE_ACCEPTED, Inflater, is_offered as is_deflate_offered};
pub use encode::{close, deflated_message, message, ping, pong};
