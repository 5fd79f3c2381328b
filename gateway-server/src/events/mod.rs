//! Brings what clients do to workers, which are the processes that handle events, whatever protocol they speak.
//!
//! Each shard tells an `EventForwarder` what its clients do. The forwarder puts the events into the
//! `WorkerQueue` of the client's worker, from which a [`Delivery`] takes them to the connection of that
//! process. A client stays with its worker. When the worker goes, a successor gets its clients and the events that it left.

mod carried;
mod carry;
mod codec;
mod delivery;
mod event;
mod forwarder;
mod router;
mod unassigned;
mod worker_queue;

pub use carried::{CarriedBatch, CarriedWorkers, MalformedEvent};
pub use codec::{EventCodec, encode_batch};
pub use delivery::{Delivery, REPLACED, WorkerConnection};
pub use event::{Event, EventKind};
pub use forwarder::EventForwarders;
pub use router::{Router, WorkerReport};
pub use worker_queue::Batch;
