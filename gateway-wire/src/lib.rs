//! The protocols between the server and PHP, as bytes: what both exchange is encoded and decoded here. The protocol between the
//! server and pages that come back is here too, as state machines.
//!
//! The crate does no I/O, reads no clock and starts no thread; the server and the extension bring their own.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod backoff;
pub mod bridge;
mod client_id;
pub mod client_protocol;
mod excerpt;
pub mod gatewayworker;
mod json_to_php;
pub mod php_serialize;
mod secret;
pub mod token;

pub use backoff::Backoff;
pub use client_id::{ClientId, MalformedClientId};
pub use excerpt::excerpt;
pub use json_to_php::{json_object_to_php, json_to_php};
pub use secret::is_same_secret;
