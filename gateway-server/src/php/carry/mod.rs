//! PHP's connections come to rest at the boundary of a packet, and go on, in another process of the server or in the same one.

pub(super) mod at_rest;
pub(super) mod attendance;
pub(super) mod form;
#[cfg(test)]
mod simulation;
