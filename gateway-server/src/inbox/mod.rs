//! The inbox: messages for users who are not there, kept until each of their devices has them.
//!
//! A [`store::Store`] keeps them. It knows neither connections nor shards, and is given the time with every operation.

pub mod bounds;
#[cfg(test)]
mod conformance;
pub mod memory_store;
pub mod model;
pub mod sqlite;
pub mod store;
