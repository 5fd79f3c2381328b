//! The clients of a shard on their way to another process of the same machine, which goes on with them on the same sockets.
//!
//! A shard is frozen first: its thread ends its turn and then waits, nobody does its work, and commands wait in its command queue. A frozen
//! shard is only read while it is written, but for what is packed: a client that was written takes little memory until the shard thaws, and
//! then is what it was, so that the shard goes on as if nothing had been. In the new process the clients are put into a shard that is
//! frozen too; it reads and writes nothing before it is thawed, and then puts their sockets into its poll, some in each turn.
//!
//! What is written, of each connection: the socket, the connection id, how far its close has come and until when, encoding, listener,
//! address, what the heartbeat and the rate limit have counted, uid, groups and session, the outbox to the byte, the input that is not
//! a whole message, and, for a client that counts messages, its record, the frames that are kept for it, its subject, the secrets
//! of other nodes, and since when and until when it is parked. Of a shard: its counts, the reasons why clients cannot come back, and
//! how far the rounds of the heartbeat have come. Bytes that several clients share are written once.
//!
//! What is not written, and why:
//! - the state of a compressed message that is inflated in part: the message is inflated from its beginning again, and the rate limit
//!   is given back what that counts twice;
//! - TLS: it cannot be moved. The client gets one end of a pair of unix sockets in place of its socket, and the old process stays
//!   between the pair's other end and the client, with the bytes that TLS itself holds;
//! - a client that is arriving from another node: it is abandoned, and its page tries again;
//! - the queues of clients to read (`read_on`, `paused`, `inflating`), as the poll tells of what is in a socket, and who has sent a part of
//!   a message is read;
//! - the slots of the connections in counts outside the shard, which `Hub::recount` makes anew;
//! - a stop that is under way (`drain`, `stop_at`, `keeps_parked`): a server that stops is not replaced;
//! - the frames of a turn (`turn`, `pending`) and the ring: a frozen shard has ended its turn;
//! - what was packed (`packed`), which is what was written;
//! - `peak`, `merged`, `steps`, the budget of panics, buffers, and the sum of what waits, which are the process's own.

mod buffers;
pub(super) mod clock;
pub(crate) mod freezing;
pub(crate) mod frozen;
mod hearing;
#[cfg(test)]
mod hearing_tests;
mod let_go;
mod malformed;
pub(super) mod packed;
mod packing;
#[cfg(test)]
mod packing_tests;
mod record;
mod restore;
mod room;
#[cfg(test)]
mod tests;
pub(super) mod unpolled;
mod write;

pub use malformed::MalformedBatch;
#[cfg(test)]
pub(super) use restore::Restoration;
#[cfg(test)]
pub(super) use write::RelayEnds;
