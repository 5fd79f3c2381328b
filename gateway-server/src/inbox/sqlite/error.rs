//! The errors of SQLite, as those of a store.

use rusqlite::{Error, ErrorCode};

use crate::inbox::store::StoreError;

/// Gives the error of a store that an error of SQLite is.
pub(super) fn store_error(error: Error) -> StoreError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull(text),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreError::ReadOnly(text),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged(text),
        _ => StoreError::Io(text),
    }
}
