//! How the process starts, reads its settings again, gives memory back and stops.

pub mod deadline;
pub mod memory;
pub mod reload;
pub mod stop;
pub mod systemd;
pub mod watchdog;
