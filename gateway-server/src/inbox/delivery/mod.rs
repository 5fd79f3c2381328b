//! Who gets which message of an inbox when: the connections that are bound to uids, and how far each has come.
//!
//! [`Delivery`] is a state machine without I/O. The thread of the store tells it what was committed and what connections do, and does
//! what it asks for: operations of the store, pages of what waits, and sends.
//!
//! What waits for a device goes to one of its connections, the *reader*, in pages within a window. Another connection of the device
//! *follows*: it begins once the device has acknowledged what had waited when it came. From then on each connection gets every
//! message that is new. So whatever a connection acknowledges, its device has everything before it.

mod bound;
mod deliveries;
mod output;
#[cfg(test)]
mod simulation;
mod uid_delivery;

pub(super) use bound::Binding;
pub(super) use deliveries::Delivery;
pub use output::{Content, Post, Sending};
