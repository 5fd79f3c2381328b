//! Questions to pages: whom each has gone to, and what they have answered.

mod questions;
mod sink;
mod table;

pub use questions::Asks;
pub use table::{CarriedAsk, NotAsked, Reply};

pub(super) use sink::AskingSink;
