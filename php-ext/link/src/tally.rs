//! Counts the events that this worker has begun to handle where the gateway finds it after a kill.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use gateway_wire::bridge::tally;

#[derive(Debug)]
pub(crate) struct Tally {
    file: File,
    /// While the gateway may still have to find it.
    path: Option<PathBuf>,
}

impl Tally {
    /// A new one, and its name. `None` on a machine without such files.
    pub(crate) fn create() -> Option<(Self, String)> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        let name = tally::name(random);
        let path = tally::path(&name)?;
        // The gateway may run as somebody else.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path).ok()?;
        let tally = Self { file, path: Some(path) };
        tally.write(0).ok()?;
        Some((tally, name))
    }

    pub(crate) fn write(&self, begun: u64) -> io::Result<()> {
        self.file.write_all_at(&begun.to_ne_bytes(), 0)
    }

    /// The gateway has it, or never will.
    pub(crate) fn hide(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.hide();
    }
}
