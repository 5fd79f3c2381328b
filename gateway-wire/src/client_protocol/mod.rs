//! The client protocol, version 2 (`gateway.2`): what the server and a page say to each other besides the application's messages, so
//! that a page that comes back has missed nothing.
//!
//! Both ends are state machines without I/O and without a clock: [`ServerEnd`] and [`ClientEnd`]. Each counts the messages of the
//! application in both directions. A websocket keeps their order, so a position is a number that nobody has to write beside a message.

mod ask;
mod client_end;
mod control;
mod counts;
mod exported;
mod inbox;
mod init;
mod position;
mod resume_secret;
mod server_end;
#[cfg(test)]
mod simulation;
mod unseen;
mod untold;

pub use ask::AskId;
pub use client_end::{ClientEnd, MalformedInit, Opened};
pub use control::{Control, Header, Malformed, Text, escape, escape_bytes, may_be_control};
pub use counts::{ControlError, Received, SeenError};
pub use exported::{ExportedCounts, ExportedEnd, ExportedOpen};
pub use inbox::{InboxLoss, InboxMessage, InboxPosition, inbox_message, is_id, offered_device};
pub use init::{GapReason, Init};
pub use resume_secret::{MalformedResume, ResumeOffer, ResumeSecret};
pub use server_end::{Positions, ServerEnd};
pub use untold::{SEEN_AFTER_TIME, SeenAfter};
