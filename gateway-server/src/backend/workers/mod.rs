//! Processes that handle events, whatever they speak: which client goes to which of them, and what waits for each.
//!
//! Each shard tells a [`Sink`] what its clients do. It puts the events in the queue of a [`Worker`], which the
//! connection to that process empties. A client stays with its worker; when that goes, the next one has what it left.

mod event;
mod last;
mod router;
mod sink;
mod worker;

pub use event::{Event, Kind};
pub use last::give_up_later;
pub use router::{Choice, Mode, Report, Router};
pub use sink::{Sink, Sinks};
pub use worker::{Batch, Worker};
