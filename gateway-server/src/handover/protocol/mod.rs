//! The protocol of a hand-over: what each end does next, and what becomes of it, without I/O and without a clock.
//!
//! An end says what it is to do ([`OldEnd::task`], [`NewEnd::task`]); its caller does that and says how it went. The old server has
//! the clients until it has sent the decision. The new server has them once it has received the decision, or once the old one has
//! died while the new one had everything. So a new server that is complete waits for one of the two for as long as it takes: if it
//! gave up, the decision could be on its way to it.

mod failure;
mod new_end;
mod old_end;
#[cfg(test)]
mod simulation;

pub use failure::Failure;
pub use new_end::{NewEnd, NewOutcome, NewTask};
pub use old_end::{OldEnd, OldOutcome, OldTask};
