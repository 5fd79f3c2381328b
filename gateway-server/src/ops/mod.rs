//! Running the server: settings, logs, limits of the machine.

pub mod config;
pub mod descriptors;
pub mod logs;
pub mod memory;
pub mod offence;
