//! A push gateway: holds browsers' connections, takes orders from PHP.
//!
//! `listener`, `backend` and `cluster` know `shard`, `backend` knows `cluster`, `shard` knows `client`, and never the other way
//! round. `net` knows nobody.

#![deny(unsafe_code)]

pub mod backend;
pub mod client;
pub mod cluster;
pub mod listener;
mod live;
pub mod net;
pub mod operations;
pub mod ops;
mod parts;
pub mod server;
pub mod shard;
pub mod tls;
