//! Counts the events that this worker has begun to handle where the gateway finds it after a kill.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use gateway_wire::bridge::progress_file;

#[derive(Debug)]
pub(crate) struct ProgressFile {
    count: MappedCounter,
    /// While the gateway may still have to find it.
    name: Option<UnlinkOnDrop>,
}

impl ProgressFile {
    /// A new one, and its name. `None` on a machine without such files.
    pub(crate) fn create() -> Option<(Self, String)> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        let name = progress_file::name(random);
        let path = progress_file::path(&name)?;
        // The gateway may run as somebody else.
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(&path).ok()?;
        let linked = UnlinkOnDrop(path);
        // So that it has its memory: to want that at the first event would be a signal.
        file.write_all_at(&[0; size_of::<AtomicU64>()], 0).ok()?;
        let count = MappedCounter::new(&file).ok()?;
        Some((Self { count, name: Some(linked) }, name))
    }

    pub(crate) fn write(&self, begun: u64) {
        self.count.get().store(begun, Ordering::Release);
    }

    /// The gateway has it, or never will.
    pub(crate) fn unlink(&mut self) {
        self.name = None;
    }
}

/// A file that goes with this.
#[derive(Debug)]
struct UnlinkOnDrop(PathBuf);

impl Drop for UnlinkOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A number in a file: to count costs a store, and no call of the system.
#[derive(Debug)]
struct MappedCounter(NonNull<AtomicU64>);

impl MappedCounter {
    fn new(file: &File) -> io::Result<Self> {
        let (length, protection) = (size_of::<AtomicU64>(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping, wherever there is room.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast()).map(Self).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn get(&self) -> &AtomicU64 {
        // SAFETY: the beginning of a page that is mapped as long as this lives, of a file that nobody makes shorter.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for MappedCounter {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and never used again.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<AtomicU64>()) };
    }
}
