//! What the machine gives: memory, descriptors, files, and the end of the process. It knows nobody but `telemetry`.

pub mod allocator;
pub mod descriptors;
pub mod exit;
pub mod files;
pub mod injected_faults;
pub mod machine;
pub mod memory_reserve;
mod secret;

pub use secret::Secret;
