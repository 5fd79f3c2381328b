//! The websocket protocol (RFC 6455) after its handshake.

mod decode;
mod deflate;
mod encode;
mod inflate;
mod inflating;
mod keeps_context;
mod message_kind;
mod subprotocol;
mod violation;

pub use decode::{FrameDecoder, Incoming, PartialFrames};
pub use deflate::answer as deflate_answer;
pub use encode::{close, deflated_message, message, ping, pong};
pub use inflate::Inflater;
pub use message_kind::MessageKind;
pub use subprotocol::{SUBPROTOCOL, TOKEN_PROTOCOL, is_subprotocol};
pub use violation::WebsocketViolation;
