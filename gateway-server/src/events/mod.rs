//! Processes that handle events, whatever they speak: which client goes to which of them, and what waits for each.
//!
//! Each shard tells a [`Sink`] what its clients do. It puts the events in the queue of a [`Worker`], which the
//! connection to that process empties. A client stays with its worker; when that goes, the next one has what it left.

mod codec;
mod delivery;
mod event;
mod forwarder;
mod router;
mod unassigned;
mod worker_queue;

pub use codec::{EventCodec, encode_batch};
pub use delivery::{Delivery, REPLACED, WorkerConnection};
pub use event::{Event, Kind};
pub use forwarder::{Sink, Sinks};
pub use router::{Choice, Mode, Report, Router};
pub use worker_queue::Batch;
