//! What the server and the PHP extension say to each other, as bytes.
//!
//! Nothing here does I/O, reads a clock or starts a thread; both sides bring their own.

#![forbid(unsafe_code)]

mod backoff;
pub mod bridge;
mod client_id;
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
