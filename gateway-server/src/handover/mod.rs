//! The hand-over of a running server to a new process: what both processes say to each other, and in what order. What is handed
//! over is for others to write and to read.

mod channel;
pub mod checks;
mod decision;
mod frame;
mod give;
mod inherited;
mod message;
mod own_sockets;
#[cfg(test)]
mod processes;
pub mod protocol;
mod spawn;
mod starting;
mod take;

pub use channel::{Channel, ChannelError, MAX_MESSAGE, PATIENCE, Parcel, Received};
pub use decision::{Decision, NotDecided};
pub use frame::MAX_DESCRIPTORS;
pub use give::{Given, Giver, Sender, give, pass_handshake, report_relayed};
pub use inherited::{Inherited, NoHandOver, inherited};
pub use message::{Hello, ListeningSocket, Message, Offer, OfferedCluster, Port, STATE_VERSION, Totals};
pub use own_sockets::start_anew;
pub use spawn::{InstalledBinary, Killer, NewProcess, NotStarted, VARIABLE};
pub use starting::start_within;
pub use take::{AfterDecision, Taker, hear_after_decision, say_serving, take};
