//! GatewayWorker's own two protocols, as its PHP classes speak them.
//!
//! On the register port both sides send one JSON object a line ([`RegisterLine`]): a PHP process asks which gateways there are.
//!
//! ```text
//! PHP                                             register
//!  │ {"event":"worker_connect","secret_key":"…"} ──▶ │
//!  │ ◀── {"event":"broadcast_addresses","addresses":["10.0.0.1:2900"]}, again at every change
//! ```
//!
//! On each gateway's internal port binary [`Packet`]s follow: a [`Command`] from PHP, an [`EventPacket`] to its workers. Some
//! commands are answered by a [`reply`], which carries no number: replies come in the order of the commands.
//!
//! The formats are those of GatewayWorker 4 (`GatewayProtocol`, `Register` and `Gateway` of its sources); the tests of each file hold
//! bytes that its classes make.

mod command;
mod command_json;
mod event;
mod packet;
mod register;
pub mod reply;

pub use command::{ClientSelector, Command, CommandError, FieldSelector, array_as_json};
pub use event::{EventCommand, EventPacket, NotAnEvent, Origin};
pub use packet::{HEADER, MAX_PACKET, Packet, PacketError, flag, packet_length};
pub use register::{MAX_ADDRESSES_LINE, MAX_LINE, NotARegisterLine, RegisterLine, line_length};
