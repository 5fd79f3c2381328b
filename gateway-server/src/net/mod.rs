//! What ports of any kind do with connections. It knows nothing of what they speak.

pub mod keepalive;
pub mod permits;
mod turns;

pub use permits::{Permit, Permits};
pub use turns::{Turns, give_way};
