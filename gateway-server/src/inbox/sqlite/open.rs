//! The opening of the database: whose it is, whether it is free, its version, and whether it is the one that was closed last.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::marker::Marker;
use super::schema::{APPLICATION_ID, MIGRATIONS, VERSION};

/// The memory that SQLite may take for pages, in KiB.
const CACHE: i32 = 16 << 10;
/// The pages in the write-ahead log from which SQLite moves them to the database.
const LOG_PAGES: i32 = 4000;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("`store`: another process has {} open; each server needs a store of its own", .0.display())]
    InUse(PathBuf),
    #[error("`store`: a newer server has written {} (version {found}, this server knows up to {VERSION})", path.display())]
    Newer { path: PathBuf, found: i32 },
    #[error("`store`: {} is no store of this server", .0.display())]
    Foreign(PathBuf),
    #[error("`store`: {} cannot be opened: {reason}", path.display())]
    Failed { path: PathBuf, reason: String },
}

/// Opens a store, which it creates where there is no file, and gives it with its marker.
pub(super) fn open(path: &Path) -> Result<(Connection, Marker), OpenError> {
    let failed = |reason: String| OpenError::Failed { path: path.to_owned(), reason };
    let sqlite = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse(path.to_owned()),
        Some(ErrorCode::NotADatabase) => OpenError::Foreign(path.to_owned()),
        _ => failed(error.to_string()),
    };
    create(path).map_err(|error| failed(error.to_string()))?;
    // SQLite would wait for somebody at the other end of a pipe.
    if !fs::metadata(path).map_err(|error| failed(error.to_string()))?.is_file() {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    prepare(&connection, path).map_err(sqlite)??;
    let marker =
        Marker::open(&connection, path).map_err(sqlite)?.map_err(|error| failed(error.to_string()))?;
    Ok((connection, marker))
}

/// Makes an empty file where there is none. What waits for users is nobody else's to read; SQLite gives its other files the same mode.
///
/// A file that is there is left alone: to close any descriptor of it would drop the locks that this process may have on it.
fn create(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Locks the database, and brings it to this version.
fn prepare(connection: &Connection, path: &Path) -> rusqlite::Result<Result<(), OpenError>> {
    connection.busy_timeout(std::time::Duration::ZERO)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (application, version, tables) != (0, 0, 0) {
        return Ok(Err(OpenError::Foreign(path.to_owned())));
    }
    if version > VERSION {
        return Ok(Err(OpenError::Newer { path: path.to_owned(), found: version }));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    let transaction = connection.unchecked_transaction()?;
    for step in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(Ok(()))
}

/// Writes a copy of the store to a file that does not exist yet. Where the copy is restored, pages are told of a new epoch.
pub(super) fn copy(connection: &Connection, to: &Path) -> rusqlite::Result<()> {
    let name = to.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(to.to_owned()))?;
    connection.execute("VACUUM INTO ?", [name])?;
    Connection::open(to)?.execute("UPDATE about SET marker = 0", [])?;
    Ok(())
}
