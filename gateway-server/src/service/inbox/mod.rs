//! The inbox as orders and queries see it.

mod answers;
mod durable;
mod post;

pub use durable::Kept;
pub use post::HubPost;
