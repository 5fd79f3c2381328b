//! A file in which this worker counts the events that it has begun to handle, so that the gateway finds the count after a kill.

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
    /// The file's name, for as long as the gateway may still have to open it.
    name: Option<UnlinkOnDrop>,
}

impl ProgressFile {
    /// Creates a file, and gives its name too. `None` means that the machine has no place for such files.
    pub(crate) fn create() -> Option<(Self, String)> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        let name = progress_file::name(random);
        let path = progress_file::path(&name)?;
        // The mode lets the gateway read the file when it runs as another user.
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(&path).ok()?;
        let linked = UnlinkOnDrop(path);
        // Writing reserves the file's memory now: a lack of it at the first event would be a signal.
        file.write_all_at(&[0; size_of::<AtomicU64>()], 0).ok()?;
        let count = MappedCounter::new(&file).ok()?;
        Some((Self { count, name: Some(linked) }, name))
    }

    pub(crate) fn write(&self, begun: u64) {
        self.count.get().store(begun, Ordering::Release);
    }

    /// Removes the name, once the gateway has opened the file or never will.
    pub(crate) fn unlink(&mut self) {
        self.name = None;
    }
}

/// A file that is removed when this is dropped.
#[derive(Debug)]
struct UnlinkOnDrop(PathBuf);

impl Drop for UnlinkOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A number in a mapped file: counting costs a store, and no call of the system.
#[derive(Debug)]
struct MappedCounter(NonNull<AtomicU64>);

impl MappedCounter {
    fn new(file: &File) -> io::Result<Self> {
        let (length, protection) = (size_of::<AtomicU64>(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: this is a new mapping, wherever there is room.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast()).map(Self).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn get(&self) -> &AtomicU64 {
        // SAFETY: the pointer leads to the beginning of a page that is mapped as long as this lives, of a file that nobody
        // makes shorter.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for MappedCounter {
    fn drop(&mut self) {
        // SAFETY: the page was mapped by `new`, and is never used again.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<AtomicU64>()) };
    }
}
