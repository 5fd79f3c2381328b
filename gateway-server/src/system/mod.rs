//! What the machine gives the process: memory, descriptors, files, times, secrets from the environment, and an end. This imports nothing
//! of the server but `telemetry`.

pub mod ages;
pub mod allocator;
pub mod clock_sync;
pub mod descriptors;
pub mod exit;
pub mod files;
pub mod injected_faults;
pub mod listeners;
pub mod machine;
pub mod memory_reserve;
pub mod priority;
pub mod processor_waits;
mod secret;
pub mod sweep;
pub mod unacknowledged;

pub use secret::Secret;
