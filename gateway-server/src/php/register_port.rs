//! A bound register port: a TCP socket, or a unix socket with its file.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use tokio::net::{TcpListener, UnixListener};

use crate::net::bind_tcp;

/// A bound register port.
pub enum RegisterPort {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// Removes the file of a unix socket when it is dropped, unless another process has it by then.
pub struct SocketFile {
    path: PathBuf,
    is_given_away: Arc<AtomicBool>,
}

/// Gives away the socket of a register port, whoever holds the port: another process has it, and removes a unix socket's file at its
/// own end.
#[derive(Clone)]
pub struct GiveAway(Arc<AtomicBool>);

impl RegisterPort {
    pub fn tcp(address: SocketAddr) -> anyhow::Result<Self> {
        bind_tcp(address, false, "register").map(Self::Tcp)
    }

    /// Binds a unix socket. The file of a server that was killed is replaced; the socket of a running server is an error.
    pub fn unix(path: &Path) -> anyhow::Result<Self> {
        let context = || format!("cannot listen on the unix socket {} (register_unix)", path.display());
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(anyhow::anyhow!("another server listens there").context(context()));
        }
        let is_socket = std::fs::symlink_metadata(path)
            .is_ok_and(|file| std::os::unix::fs::FileTypeExt::is_socket(&file.file_type()));
        if is_socket {
            std::fs::remove_file(path).with_context(context)?;
        }
        let listener = UnixListener::bind(path).with_context(context)?;
        Ok(Self::Unix(listener, SocketFile::at(path)))
    }

    /// Takes over the TCP socket of another process.
    pub fn tcp_again(descriptor: OwnedFd) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::from(descriptor);
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Self::Tcp)
    }

    /// Takes over the unix socket of another process, and its file.
    pub fn unix_again(descriptor: OwnedFd, path: &Path) -> std::io::Result<Self> {
        let listener = std::os::unix::net::UnixListener::from(descriptor);
        listener.set_nonblocking(true)?;
        Ok(Self::Unix(UnixListener::from_std(listener)?, SocketFile::at(path)))
    }

    /// Gives the way to give the port away later, while a task serves it. A port without a file has nothing to forget.
    pub fn give_away(&self) -> Option<GiveAway> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(_, file) => Some(GiveAway(Arc::clone(&file.is_given_away))),
        }
    }

    /// The name by which connections at rest find their port again in the process that has taken it over.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| "tcp".to_owned(), |address| format!("tcp://{address}"))
            }
            Self::Unix(_, file) => format!("unix://{}", file.path.display()),
        }
    }

    /// The folder of the unix socket, when users other than its owner and group may put a socket of their own there
    /// while the server is down. The sticky bit of `/tmp` does not hinder them.
    pub fn open_folder(&self) -> Option<&Path> {
        let Self::Unix(_, SocketFile { path, .. }) = self else { return None };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mode = std::fs::metadata(folder).ok()?.permissions().mode();
        (mode & 0o002 != 0).then_some(folder)
    }

    /// The TCP address, or `None` for a unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

impl AsFd for RegisterPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener, _) => listener.as_fd(),
        }
    }
}

impl SocketFile {
    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), is_given_away: Arc::default() }
    }
}

impl GiveAway {
    /// The port's file is another process's from now on.
    pub fn forget_file(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The port's file is this process's from now on.
    pub fn own_file(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.is_given_away.load(Ordering::Relaxed) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
