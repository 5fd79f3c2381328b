//! What tells a database from an earlier one that was put in its place: a marker that stands in it and in a file beside it.
//!
//! The marker is a random number, which is new with each opening and closing, and the number of commits. The database has a commit before the
//! file counts it, so a file that counts more belongs to a later state: a copy was put back, also if it was made while the store was open
//! and the server was killed.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Result, params};

use super::batch::random;

/// Where the number of commits stands in the file, behind the random number and a space.
const COMMITS_AT: u64 = 17;

/// The marker of an open store.
pub(super) struct Marker {
    /// The random number of which the epochs of uids are made. It is another one once an earlier database is in the place of this one.
    pub(super) epoch: u64,
    commits: u64,
    path: PathBuf,
    file: File,
}

impl Marker {
    /// Finds out whether the database is the one that was here last, and writes a new marker.
    pub(super) fn open(connection: &Connection, path: &Path) -> Result<io::Result<Self>> {
        let mut found = connection.prepare("SELECT epoch, marker, commits FROM about")?;
        let found = found
            .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))?
            .next()
            .transpose()?;
        let (epoch, commits) = match (found, read(path)) {
            (Some((epoch, marker, commits)), Some((in_file, counted)))
                if in_file == marker && counted <= commits.cast_unsigned() =>
            {
                (epoch, commits)
            }
            (Some((_, _, commits)), _) => (random()?, commits),
            (None, _) => (random()?, 0),
        };
        let (epoch, commits) = (epoch.cast_unsigned(), commits.cast_unsigned());
        match renew(connection, path, epoch, commits)? {
            Ok(file) => Ok(Ok(Self { epoch, commits, path: path.to_owned(), file })),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Writes a new random number to the file and to the database.
    pub(super) fn renew(&mut self, connection: &Connection) -> Result<io::Result<()>> {
        let renewed = renew(connection, &self.path, self.epoch, self.commits)?;
        Ok(renewed.map(|file| self.file = file))
    }

    /// Counts in the database that a transaction is committed with it.
    pub(super) fn count(&self, connection: &Connection) -> Result<()> {
        connection.execute("UPDATE about SET commits = ?", [self.commits.cast_signed() + 1])?;
        Ok(())
    }

    /// Counts in the file that the transaction is committed. It need not be on disk: the file may count fewer commits than there are.
    pub(super) fn committed(&mut self) {
        self.commits += 1;
        // A file that cannot be written counts fewer.
        let _ = self.file.write_all_at(format!("{:020}", self.commits).as_bytes(), COMMITS_AT);
    }
}

fn renew(connection: &Connection, path: &Path, epoch: u64, commits: u64) -> Result<io::Result<File>> {
    // Zero is the marker of copies.
    let marker = random()? | 1;
    let file = match write(path, marker, commits) {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    let sql = "INSERT OR REPLACE INTO about (one, epoch, marker, commits) VALUES (1, ?, ?, ?)";
    connection.execute(sql, params![epoch.cast_signed(), marker, commits.cast_signed()])?;
    Ok(Ok(file))
}

/// Gives the path of the file.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

/// Reads the random number and the number of commits, which earlier servers have not counted.
fn read(path: &Path) -> Option<(i64, u64)> {
    let text = fs::read_to_string(beside(path, "-epoch")).ok()?;
    let mut words = text.split_whitespace();
    let marker = u64::from_str_radix(words.next()?, 16).ok()?.cast_signed();
    Some((marker, words.next().map_or(Some(0), |commits| commits.parse().ok())?))
}

fn write(path: &Path, marker: i64, commits: u64) -> io::Result<File> {
    let new = beside(path, "-epoch.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    writeln!(file, "{:016x} {commits:020}", marker.cast_unsigned())?;
    file.sync_all()?;
    fs::rename(&new, beside(path, "-epoch"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file)
}
