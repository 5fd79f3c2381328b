//! What the program says of itself: its log, counts, the time. It imports nothing else of the server.

pub mod abuse_log;
pub mod clock;
pub mod counter;
pub mod logs;
pub mod words;

pub use counter::ConnectionCounter;
