//! What the program reports about itself: its log, its counts, the time. This imports nothing else of the server.

pub mod abuse_log;
pub mod clock;
pub mod counter;
pub mod histogram;
pub mod logs;
pub mod words;

pub use counter::ConnectionCounter;
