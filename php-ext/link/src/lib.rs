//! The link of one PHP process to one gateway, without PHP.
//!
//! The PHP thread encodes a call and hands it to an I/O thread; orders return at once, queries wait for their answer.
//! An order stays with the I/O thread until the gateway has confirmed it, over as many connections as that takes.
//!
//! ```text
//! PHP thread                  State, for moments            I/O thread
//! LinkPool ─▶ Link ─▶ encode ──── Outgoing ───────▶ Engine: Queue ─▶ BridgeConnection ─▶ gateway
//!               ▲                                      │
//!               └────── status, confirmed, answer ◀────┘
//! ```
//!
//! While the PHP thread waits for an answer it drives the engine itself.
//!
//! Where a register of GatewayWorker answers in place of our gateway, a session of `gatewayworker` stands in place of the
//! connection.

mod address;
mod answer;
mod backoff;
mod bridge_connection;
mod connect;
mod detect;
mod engine;
mod error;
mod fork;
mod gatewayworker;
mod inbox;
mod io_thread;
mod link;
#[cfg(test)]
#[cfg(feature = "models")]
mod models;
mod notice;
mod poll;
mod pool;
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
pub use notice::{Notice, Trouble};
pub use poll::Ended;
pub use pool::{LinkPool, MAX_LINKS};
pub use stranger::Stranger;
pub use target::{NoAddress, Protocol, Target, TlsFiles};
pub use worker::{Next, Worker, WorkerLost};
