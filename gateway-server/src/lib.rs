//! A push gateway: holds browsers' connections, takes orders from PHP.
//!
//! `backend` and `operations` know `service`, `service` knows `cluster`, `listener` and `cluster` know `shard`, `shard` knows `client`,
//! and never the other way round. `net` knows nobody.

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
pub mod service;
pub mod shard;
pub mod tls;
