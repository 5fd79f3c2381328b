//! How the process gives memory back, stops, is watched, and reports to systemd.

pub mod deadline;
pub mod memory;
pub mod stop;
pub mod systemd;
pub mod watchdog;
