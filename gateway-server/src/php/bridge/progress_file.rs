//! The file in which a worker process on this machine counts the events that it has begun to handle.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

use gateway_wire::bridge::progress_file;

#[derive(Debug)]
pub(super) struct ProgressFile(File);

impl ProgressFile {
    /// Gives `None` when there is no such file here, or it cannot be read: then the worker says what it begins.
    pub(super) fn open(name: &str) -> Option<Self> {
        let path = progress_file::path(name)?;
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
        file.metadata().is_ok_and(|file| file.is_file()).then_some(Self(file))
    }

    /// Takes over a file that another process has opened. The worker has removed its name.
    pub(super) fn of(descriptor: OwnedFd) -> Self {
        Self(File::from(descriptor))
    }

    pub(super) fn into_descriptor(self) -> OwnedFd {
        self.0.into()
    }

    pub(super) fn read(&self) -> Option<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 0).ok()?;
        Some(u64::from_ne_bytes(bytes))
    }
}
