//! How the process starts, gives memory back and stops.

pub mod deadline;
pub mod memory;
pub mod stop;
pub mod systemd;
pub mod watchdog;
