//! Running the server: settings, logs, limits of the machine, stopping.

pub mod clock;
pub mod config;
pub mod cushion;
pub mod deadline;
pub mod descriptors;
pub mod end;
pub mod files;
pub mod injected;
pub mod logs;
pub mod machine;
pub mod memory;
pub mod offence;
pub mod reload;
pub mod stop;
pub mod supervisor;
pub mod watchdog;
pub mod words;
