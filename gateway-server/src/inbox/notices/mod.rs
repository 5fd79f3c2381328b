//! What PHP is told of messages without asking: what devices have received and users have read, and what no device has acknowledged in
//! time. The store keeps each notice until PHP has it.

mod desk;
mod notice;

pub use desk::{HeldNotices, NoticeDesk};
pub use notice::{BATCH, BATCH_BYTES, Fact, Notice, WantedNotices};
