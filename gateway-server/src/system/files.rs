//! Reads files that settings name. By the time that they are read, or read again, anything may stand there: a pipe to which
//! nobody writes, a remote disk that does not answer, or far more bytes than such a file has.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

/// Reads a regular file. A file of more than `longest` bytes is an error.
pub fn read(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    read_as_it_is(path, longest).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let hint = if path.starts_with(CERTBOT) { CERTBOT_HINT } else { "" };
            let what = format!(
                "the user that this runs as may not read it, or not look into a folder on the way{hint}"
            );
            io::Error::new(error.kind(), what)
        }
        _ => error,
    })
}

/// The folder where certbot keeps certificates and keys, which only root may read.
const CERTBOT: &str = "/etc/letsencrypt";
const CERTBOT_HINT: &str = "; docs/tls.md has a hook for certbot that makes copies for the server";

fn read_as_it_is(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    // Only a regular file is opened, as opening anything else may have an effect or wait for another process.
    must_be_regular(&path.metadata()?)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    // Another file may have taken its place between the two calls.
    must_be_regular(&file.metadata()?)?;
    read_bounded(&file, longest)
}

/// Reads a file like [`read`] does, and gives its content as text.
pub fn read_text(path: &Path, longest: u64) -> io::Result<String> {
    String::from_utf8(read(path, longest)?).map_err(|_| io::Error::other("it is not UTF-8"))
}

fn read_bounded(file: &File, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        return Err(io::Error::other(format!("it is longer than {longest} bytes")));
    }
    Ok(bytes)
}

fn must_be_regular(file: &Metadata) -> io::Result<()> {
    let kind = file.file_type();
    let what = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::other(format!("it is {what}, not a regular file")))
}

/// Runs reads of one kind in threads of their own, so that a read that hangs holds up neither others nor the end of the process.
#[derive(Debug)]
pub struct Reads {
    under_way: AtomicUsize,
}

/// How long a caller waits for a read.
const PATIENCE: Duration = Duration::from_secs(5);
/// The number of reads that may be under way, hanging ones included. With so many, no other is begun.
const AT_ONCE: usize = 4;

/// Why the result of a read is not there.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("nothing was read within {PATIENCE:?}: does the disk answer?")]
    Hangs,
    #[error("{AT_ONCE} reads hang already: does the disk answer?")]
    TooMany,
    #[error("a fault of ours, of which the log tells")]
    Fault,
    #[error("no thread to read it: {0}")]
    NoThread(io::Error),
}

impl Reads {
    #[expect(clippy::new_without_default, reason = "it is for statics")]
    pub const fn new() -> Self {
        Self { under_way: AtomicUsize::new(0) }
    }

    pub async fn run<T: Send + 'static>(
        &'static self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, FileError> {
        let slot = ReadSlot::take(&self.under_way)?;
        let (back, result) = oneshot::channel();
        let read = move || {
            let _slot = slot;
            // The caller may have given up.
            let _ = back.send(work());
        };
        std::thread::Builder::new().name("files".to_owned()).spawn(read).map_err(FileError::NoThread)?;
        match tokio::time::timeout(PATIENCE, result).await {
            Ok(result) => result.map_err(|_| FileError::Fault),
            Err(_) => Err(FileError::Hangs),
        }
    }
}

/// One of the [`AT_ONCE`] reads that may be under way; dropping it makes room for another.
struct ReadSlot(&'static AtomicUsize);

impl ReadSlot {
    fn take(under_way: &'static AtomicUsize) -> Result<Self, FileError> {
        let before = under_way.fetch_add(1, Ordering::Relaxed);
        let slot = Self(under_way);
        if before < AT_ONCE { Ok(slot) } else { Err(FileError::TooMany) }
    }
}

impl Drop for ReadSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_regular_files_of_some_length_are_read() {
        let folder = std::env::temp_dir().join(format!("gateway-files-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let (file, socket) = (folder.join("file"), folder.join("socket"));
        std::fs::write(&file, "four").unwrap();
        let _socket = UnixListener::bind(&socket).unwrap();
        let refused = |path: &Path, longest| read(path, longest).unwrap_err().to_string();
        assert_eq!(read(&file, 4).unwrap(), b"four");
        assert_eq!(refused(&file, 3), "it is longer than 3 bytes");
        assert_eq!(refused(&folder, 3), "it is a folder, not a regular file");
        assert_eq!(refused(&socket, 3), "it is a socket, not a regular file");
        assert_eq!(refused(Path::new("/dev/zero"), 3), "it is a device, not a regular file");
        std::fs::write(&file, b"\xff").unwrap();
        assert_eq!(read_text(&file, 4).unwrap_err().to_string(), "it is not UTF-8");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn reads_that_hang_hold_up_no_others_and_are_few() {
        static READS: Reads = Reads::new();
        fn hang() {
            std::thread::sleep(Duration::from_secs(3600));
        }
        let hanging: Vec<_> = (0..AT_ONCE - 1).map(|_| tokio::spawn(READS.run(hang))).collect();
        while READS.under_way.load(Ordering::Relaxed) < hanging.len() {
            tokio::task::yield_now().await;
        }
        assert_eq!(READS.run(|| 7).await.unwrap(), 7);
        while READS.under_way.load(Ordering::Relaxed) > hanging.len() {
            tokio::task::yield_now().await;
        }
        assert!(matches!(READS.run(hang).await, Err(FileError::Hangs)));
        assert!(matches!(READS.run(|| 7).await, Err(FileError::TooMany)));
    }
}
