//! Processes whose clock is wrong, by Debian's libfaketime.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::skip;

/// A wrong clock, which can be set while a process runs.
pub struct WrongClock {
    library: PathBuf,
    setting: tempfile::NamedTempFile,
}

impl WrongClock {
    /// Makes a clock that is off by `offset`, such as `+40d` or `-20m`. Without libfaketime the test is reported as skipped,
    /// and this gives `None`.
    pub fn new(test: &str, offset: &str) -> anyhow::Result<Option<Self>> {
        let Some(library) = library() else {
            skip(test, "libfaketime is not installed (Debian package libfaketime)");
            return Ok(None);
        };
        let this = Self { library, setting: tempfile::NamedTempFile::new()? };
        this.set(offset)?;
        Ok(Some(this))
    }

    pub fn set(&self, offset: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.setting.path(), offset)?)
    }

    pub fn give(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
        command.env("FAKETIME_TIMESTAMP_FILE", self.setting.path());
        command.env("FAKETIME_NO_CACHE", "1");
        // Only the wall clock jumps; the monotonic clock, by which timeouts run, goes on as ever.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

fn library() -> Option<PathBuf> {
    let places = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    places
        .chain([Path::new("/usr/lib").to_owned()])
        .map(|place| place.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
}
