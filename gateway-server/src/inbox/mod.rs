//! The inbox: messages for users who are not there, kept until each of their devices has them.
//!
//! A [`store::Store`] keeps them. It knows neither connections nor shards, and is given the time with every operation. A
//! [`writer::Writer`] has a store for itself, and everybody else asks that.

pub mod bounds;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod conformance_of_notices;
pub mod counts;
pub mod delivery;
pub mod health;
pub mod jetstream;
pub mod memory_store;
pub mod model;
pub mod notes;
pub mod notices;
#[cfg(test)]
mod numbers;
pub mod pause;
mod queue;
pub mod request;
pub mod sqlite;
pub mod store;
pub mod worker;
pub mod writer;
#[cfg(test)]
mod writer_kills;
#[cfg(test)]
mod writer_tests;
