//! The register port: what PHP speaks. The first byte of a connection tells in which tongue.

pub mod bridge;
mod port;

pub use port::{Port, Settings, serve};
