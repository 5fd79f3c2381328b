//! The store on an open database.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Result};

use crate::inbox::bounds::Bounds;
use crate::inbox::model::{
    Millis, PageRequest, Producer, Receipt, Totals, UidInbox, UidSummary, WaitingPage,
};
use crate::inbox::notices::{Notice, WantedNotices};
use crate::inbox::store::{Operation, Outcome, Store, StoreError};

use super::batch::Batch;
use super::error::store_error;
use super::marker::Marker;
use super::notices;
use super::open::{self, OpenError};
use super::reads;
use super::statements::Statements;

/// A store in one SQLite database, which no other process can open meanwhile.
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    /// The device and the number of the file that is open.
    file: (u64, u64),
    bounds: Bounds,
    marker: Marker,
    totals: Totals,
    wanted: WantedNotices,
}

impl SqliteStore {
    /// Opens the store at this path, which it creates where there is no file.
    pub fn open(path: &Path, bounds: Bounds) -> Result<Self, OpenError> {
        let (connection, marker) = open::open(path)?;
        let sql = "SELECT count(*), coalesce(sum(messages), 0), coalesce(sum(bytes), 0), (SELECT count(*) FROM notices) FROM uids";
        let totals = connection.query_row(sql, [], |row| {
            let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            let (uids, messages, bytes, notices) = (number(0)?, number(1)?, number(2)?, number(3)?);
            Ok(Totals { uids, messages, bytes, notices, lost_notices: 0 })
        });
        let failed =
            |error: rusqlite::Error| OpenError::Failed { path: path.to_owned(), reason: error.to_string() };
        let totals = totals.map_err(failed)?;
        let file = fs::metadata(path)
            .map_err(|error| OpenError::Failed { path: path.to_owned(), reason: error.to_string() })?;
        let file = (file.dev(), file.ino());
        let wanted = WantedNotices::default();
        Ok(Self { connection, path: path.to_owned(), file, bounds, marker, totals, wanted })
    }

    /// Keeps these notices for PHP from now on, and gives up what it has of others.
    pub fn want_notices(&mut self, wanted: WantedNotices) -> Result<(), StoreError> {
        if wanted.undelivered_after.is_none() {
            self.connection.execute("DELETE FROM watched", []).map_err(store_error)?;
        }
        if wanted.is_none() {
            self.connection.execute("DELETE FROM notices", []).map_err(store_error)?;
            self.totals.notices = 0;
        }
        self.wanted = wanted;
        Ok(())
    }

    /// Writes a copy of the store to a file that does not exist yet, while the store goes on.
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        open::copy(&self.connection, path).map_err(store_error)
    }

    /// Reads all of the database, and gives what is wrong with it: nothing if it is well.
    pub fn check(&self) -> Result<Vec<String>, StoreError> {
        let found = || -> Result<Vec<String>> {
            let mut statement = self.connection.prepare("PRAGMA integrity_check(100)")?;
            let found: Result<Vec<String>> = statement.query_map([], |row| row.get(0))?.collect();
            Ok(found?.into_iter().filter(|line| line != "ok").collect())
        };
        found().map_err(store_error)
    }

    /// Says whether the path still leads to the open file. What is written to a file that was removed is lost with the process.
    fn is_there(&self) -> Result<(), StoreError> {
        let gone = |reason: &str| StoreError::Gone(format!("{}: {reason}", self.path.display()));
        match fs::metadata(&self.path) {
            Ok(file) if (file.dev(), file.ino()) == self.file => Ok(()),
            Ok(_) => Err(gone("another file is there")),
            Err(error) => Err(gone(&error.to_string())),
        }
    }

    #[cfg(test)]
    pub(crate) fn epoch(&self) -> u64 {
        self.marker.epoch
    }

    #[cfg(test)]
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs operations in one transaction, and gives with their outcomes what the store holds then.
    fn transact(&self, now: Millis, operations: &[Operation]) -> Result<(Vec<Outcome>, Totals)> {
        let transaction = self.connection.unchecked_transaction()?;
        let mut batch =
            Batch::new(&self.connection, now, (self.bounds, self.wanted), self.marker.epoch, self.totals)?;
        let outcomes = operations.iter().map(|operation| batch.run(operation)).collect::<Result<_>>()?;
        let totals = batch.totals;
        drop(batch);
        self.marker.count(&self.connection)?;
        transaction.commit()?;
        Ok((outcomes, totals))
    }
}

impl Store for SqliteStore {
    fn apply(&mut self, now: Millis, operations: &[Operation]) -> Result<Vec<Outcome>, StoreError> {
        self.is_there()?;
        let (outcomes, totals) = self.transact(now, operations).map_err(store_error)?;
        self.marker.committed();
        self.totals = totals;
        Ok(outcomes)
    }

    fn waiting(&mut self, now: Millis, page: &PageRequest) -> Result<WaitingPage, StoreError> {
        let statements = &mut Statements::new(&self.connection);
        reads::waiting(statements, now, page).map_err(store_error)
    }

    fn receipt(&mut self, now: Millis, id: &str, uids: usize) -> Result<Vec<Receipt>, StoreError> {
        reads::receipt(&mut Statements::new(&self.connection), now, id, uids).map_err(store_error)
    }

    fn inbox_of(&mut self, now: Millis, uid: &[u8]) -> Result<Option<UidInbox>, StoreError> {
        let statements = &mut Statements::new(&self.connection);
        reads::inbox_of(statements, now, self.marker.epoch, uid).map_err(store_error)
    }

    fn uids(&mut self, after: &[u8], limit: usize) -> Result<Vec<UidSummary>, StoreError> {
        reads::uids(&mut Statements::new(&self.connection), after, limit).map_err(store_error)
    }

    fn progress(&mut self, producer: &Producer) -> Result<Option<u64>, StoreError> {
        let batch =
            Batch::new(&self.connection, 0, (self.bounds, self.wanted), self.marker.epoch, self.totals);
        batch.and_then(|mut batch| batch.progress(producer)).map_err(store_error)
    }

    fn notices(&mut self, limit: usize, bytes: usize) -> Result<Vec<Notice>, StoreError> {
        notices::notices(&mut Statements::new(&self.connection), limit, bytes).map_err(store_error)
    }

    fn has_undelivered(&mut self, now: Millis) -> Result<bool, StoreError> {
        notices::has_undelivered(&mut Statements::new(&self.connection), now).map_err(store_error)
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        Ok(self.totals)
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.is_there()?;
        let written = self.marker.renew(&self.connection);
        written.map_err(store_error)?.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::DiskFull(error.to_string())
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                StoreError::ReadOnly(error.to_string())
            }
            _ => StoreError::Io(error.to_string()),
        })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // Without a new marker, a copy that was made while the store was open would pass for the store itself. Where the disk
        // does not take it any more, nothing else can be done.
        let _ = self.marker.renew(&self.connection);
    }
}
