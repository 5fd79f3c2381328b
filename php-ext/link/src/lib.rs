//! The link of one PHP thread to one gateway, without PHP. Where PHP is not thread-safe (NTS), a process has one such thread.
//!
//! The PHP thread encodes a call and hands it to an I/O thread; orders return at once, queries wait for their answer. The queue
//! keeps an order until the gateway has confirmed it, over as many connections as that takes.
//!
//! ```text
//! PHP thread                  LinkState, locked briefly      I/O thread
//! LinkPool ─▶ Link ─▶ encode ──── UnsentCalls ─────────▶ Engine: CallQueue ─▶ BridgeConn ─▶ gateway
//!               ▲                                            │
//!               └────── status, confirmed, answer ◀──────────┘
//! ```
//!
//! While the PHP thread waits for an answer it drives the engine itself.
//!
//! Where a register of GatewayWorker answers in place of our gateway, a session of `gatewayworker` takes the place of the
//! `BridgeConn`. [`EventsConn`] is a connection of its own, over which a worker receives events.

#![warn(missing_docs)]

mod address;
mod answer;
mod backoff;
mod bridge_conn;
mod detect;
mod dial;
mod engine;
mod error;
mod establish;
mod events_conn;
mod foreign_service;
mod fork;
mod gatewayworker;
mod handshake;
mod io_thread;
mod later_answers;
mod link;
mod notice;
mod peek;
mod poll;
mod pool;
mod progress_file;
mod question;
mod queue;
mod read_buffer;
mod register_line;
mod reply_reader;
mod shared;
mod stream;
mod sync;
mod target;
mod tls;

#[cfg(all(test, feature = "models"))]
mod models;

pub use address::{Address, AddressError};
pub use answer::QueryAnswer;
pub use error::{ConnectError, ErrorKind, EventsConnLost, FailedAttempt, LinkError, Unreachable};
pub use events_conn::{EventsConn, NextEvent};
pub use foreign_service::ForeignService;
pub use fork::generation;
pub use later_answers::MAX_QUESTIONS;
pub use link::{Link, LinkLimits, LinkStats, Unconfirmed};
pub use notice::{Notice, NoticeKind};
pub use poll::WaitEnd;
pub use pool::{LinkPool, MAX_LINKS};
pub use question::Question;
pub use target::{GatewayProtocol, NoAddress, Target, TlsFiles};
