//! The TLS certificate of a port, which is replaced while the server runs when its files change.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::ServerConfig;
use tracing::{error, info};

use super::{CertificateError, Files};

/// A certificate as it is in use, and the state of its files.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    config: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Seen>,
}

/// The state of the files at two moments.
#[derive(Debug)]
struct Seen {
    /// At the last look.
    last: Stamp,
    /// When they were last read, whether or not that succeeded.
    read: Stamp,
}

/// The state of the files: certificate, key, and authorities for clients. `None` stands for a file that is missing or not configured.
type Stamp = [Option<FileStamp>; 3];

/// A file's device and inode, its size, and the times at which its content and its metadata last changed.
type FileStamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl Certificate {
    pub fn load(files: Files) -> Result<Self, CertificateError> {
        // The state is taken before the files are read, so a change during the reading is seen as a change later.
        let stamp = stamp(&files);
        let config = RwLock::new(files.load()?);
        Ok(Self { files, config, seen: Mutex::new(Seen { last: stamp, read: stamp }) })
    }

    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The TLS settings for a new connection.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again if they have changed since they were read. They must be the same in two looks one after the other,
    /// as whoever replaces them writes one file after another.
    pub(super) fn look(&self) {
        let now = stamp(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_settled = std::mem::replace(&mut seen.last, now) == now;
        if is_settled && seen.read != now {
            seen.read = now;
            // The lock is released first, so that a read that hangs holds up no later look.
            drop(seen);
            self.reload();
        }
    }

    /// Reads the files again, whether or not they have changed.
    pub(super) fn read_again(&self) {
        let now = stamp(&self.files);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen { last: now, read: now };
        self.reload();
    }

    fn reload(&self) {
        let file = self.files.certificate.display();
        match self.files.load() {
            Ok(config) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
                info!(%file, "new clients get the new certificate");
            }
            Err(problem) => error!(%file, "the new certificate is not taken, the old one stays: {problem}"),
        }
    }
}

fn stamp(files: &Files) -> Stamp {
    [Some(&files.certificate), Some(&files.key), files.client_authorities.as_ref()]
        .map(|path| path.and_then(|path| file_stamp(path)))
}

fn file_stamp(path: &Path) -> Option<FileStamp> {
    let file = std::fs::metadata(path).ok()?;
    let changed = (file.mtime(), file.mtime_nsec());
    Some((file.dev(), file.ino(), file.size(), changed, (file.ctime(), file.ctime_nsec())))
}
