//! What browsers speak once established: bytes in, messages out, without I/O.

pub mod close;
pub mod websocket;
