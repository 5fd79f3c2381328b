//! A push gateway: holds browsers' connections, takes orders from PHP.
//!
//! Each module knows those below it alone: `doctor` and `server` all, `lifecycle` and `admin` what serves, `php` and `cluster` the `service`, that the
//! `hub`, that the `shard`s, these the `inbox`, the settings in `config`, the `protocol` of clients and the `relay`; `net`, `system`,
//! `telemetry` and `versioned` know nobody above them. The `command_line` is the program's alone.

#![deny(unsafe_code)]

pub mod admin;
pub mod cluster;
pub mod command_line;
pub mod config;
pub mod doctor;
pub mod events;
pub mod handover;
pub mod hub;
pub mod inbox;
pub mod lifecycle;
pub mod listener;
pub mod net;
pub mod php;
pub mod protocol;
pub mod relay;
pub mod server;
pub mod service;
pub mod shard;
pub mod system;
pub mod telemetry;
pub mod versioned;
pub mod webhook;
