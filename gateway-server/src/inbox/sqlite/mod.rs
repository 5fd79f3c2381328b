//! The store in one SQLite database.

mod batch;
mod deliver;
mod devices;
mod error;
mod expire;
mod marker;
mod notices;
mod open;
mod reads;
mod rows;
mod schema;
mod sqlite_store;
mod statements;
#[cfg(test)]
mod tests;

pub use open::OpenError;
pub use sqlite_store::SqliteStore;
