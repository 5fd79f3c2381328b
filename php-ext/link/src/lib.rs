//! The link of one PHP process to one gateway, without PHP.
//!
//! The PHP thread encodes a call and hands it to an I/O thread; orders return at once, queries wait for their answer.
//! An order stays with the I/O thread until the gateway has confirmed it, over as many connections as that takes.
//!
//! ```text
//! PHP thread                  State, for moments            I/O thread
//! Links ─▶ Link ─▶ encode ─────── Outgoing ───────▶ Engine: Queue ─▶ Connection ─▶ gateway
//!           ▲                                          │
//!           └────── status, confirmed, answer ◀────────┘
//! ```
//!
//! While the PHP thread waits for an answer it drives the engine itself.
//!
//! Where a register of GatewayWorker answers in place of our gateway, a `cluster` session stands in place of the
//! connection.

mod address;
mod answer;
mod backoff;
mod cluster;
mod connect;
mod connection;
mod engine;
mod error;
mod fork;
mod guess;
mod inbox;
mod io_thread;
mod link;
mod links;
#[cfg(test)]
#[cfg(feature = "models")]
mod models;
mod notice;
mod poll;
mod queue;
mod replies;
mod shared;
mod stranger;
mod sync;
mod tally;
mod target;
mod tls;
mod wire;
mod worker;

pub use address::{Address, AddressError};
pub use answer::Answer;
pub use error::{Failure, LinkError, Reason, Unreachable};
pub use fork::generation;
pub use link::{Limits, Link, Stats, Unconfirmed};
pub use links::{Links, MAX_LINKS};
pub use notice::{Notice, Trouble};
pub use poll::Ended;
pub use stranger::Stranger;
pub use target::{NoAddress, Protocol, Target, TlsFiles};
pub use worker::{Next, Worker, WorkerLost};
