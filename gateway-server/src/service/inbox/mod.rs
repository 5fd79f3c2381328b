//! The inbox as orders and queries see it.

mod answers;
mod durable;
mod notices;
mod post;

pub use durable::Kept;
pub use notices::{NoticeTeller, Told};
pub use post::HubPost;
