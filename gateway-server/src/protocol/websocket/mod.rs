//! The websocket protocol (RFC 6455) after its handshake.

mod decode;
mod deflate;
mod encode;
mod inflate;
mod inflating;
mod keeps_context;
mod message_kind;
mod own_messages;
mod partial_parts;
mod subprotocol;
mod violation;

pub use decode::{FrameDecoder, Incoming, PartialFrames};
pub use deflate::answer as deflate_answer;
pub use encode::{close, deflated_message, message, ping, pong};
pub use inflate::Inflater;
pub use message_kind::MessageKind;
pub use own_messages::own_messages;
pub use partial_parts::{CompressedParts, FragmentsParts, InflatingParts, PartialParts};
pub use subprotocol::{SUBPROTOCOL, SUBPROTOCOL_2, TOKEN_PROTOCOL, is_subprotocol};
pub use violation::WebsocketViolation;
