//! The relay: a process that has handed its clients over to another one decrypts and encrypts for those that speak TLS, whose TLS
//! sessions cannot be moved, until they have gone.
//!
//! The serving process has one end of a [pair](crate::net::relay_pair) for each of these clients, and uses it as if it were the
//! client's socket. The relay takes what each side sends only when the other side has room, keeps at most 64 KiB in each
//! direction, and decides nothing: which client is too slow, silent or to be closed is the serving process's matter.

mod client;
mod handle;
mod inbound;
mod outbound;
mod report;
mod run;
mod session;
mod table;

pub use client::RelayedClient;
pub use handle::RelayHandle;
pub use report::{RelayCounts, RelayReport};
pub use run::Relay;
pub use table::Relays;
