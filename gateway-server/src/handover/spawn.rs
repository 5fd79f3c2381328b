//! The start of the new process, from the file that the running server was started from, as that is now installed.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::channel::{Channel, ChannelError, PATIENCE, Received, pair, wait_for};
use super::decision::{Decision, NotDecided};

/// The environment variable that tells a process that it is to take over, and by which descriptor.
pub const VARIABLE: &str = "GATEWAY_HANDOVER";
/// The value of the variable.
pub(super) const STANDARD_INPUT: &str = "0";
/// How long the kernel may take to end a process that was killed.
const REAPING: Duration = Duration::from_secs(2);
/// What systemd says to one process alone. Without `WATCHDOG_PID`, the new process reports itself to the watchdog. The sockets that
/// systemd may have passed come over the channel.
const OF_THE_OLD_PROCESS: [&str; 4] = ["WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// The installed program, with the arguments of this process.
#[derive(Clone, Debug)]
pub struct InstalledBinary {
    path: PathBuf,
    arguments: Vec<OsString>,
}

/// A new process that is to take over, with this end of the channel to it.
///
/// A new server that is complete takes a closed channel for the death of the old one. So the process is killed before the channel is
/// closed, however this value is dropped, unless the decision was sent. What keeps the shards frozen has to live longer.
#[derive(Debug)]
pub struct NewProcess {
    child: Child,
    /// Names the process for as long as it is not reaped, whatever becomes of its number.
    handle: Arc<OwnedFd>,
    path: PathBuf,
    /// This end of the channel, which is there until the process is ended.
    channel: Option<Channel>,
    is_given: bool,
}

/// Ends the new process from another thread.
#[derive(Clone, Debug)]
pub struct Killer(Arc<OwnedFd>);

/// Why there is no new process.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    #[error("{} is not there any more: install the program again", .0.display())]
    Missing(PathBuf),
    #[error("{} may not be executed by the server's user", .0.display())]
    NotExecutable(PathBuf),
    #[error("{} cannot be started: {}", .0.display(), .1)]
    Start(PathBuf, io::Error),
    #[error(
        "{} has not begun to run within {} s: its filesystem does not answer, or something has halted the new process", .0.display(),
        .1.as_secs_f32()
    )]
    Hangs(PathBuf, Duration),
    #[error("no thread to start a new process can be made: {0}")]
    Thread(io::Error),
    #[error("no channel to a new process can be made: {0}")]
    Channel(io::Error),
    #[error("the kernel cannot watch a process by a descriptor, as Linux does since 5.3: {0}")]
    Handle(io::Error),
}

impl InstalledBinary {
    /// Finds the program of this process. It is looked for when the server starts, since an upgrade replaces the file.
    pub fn of_this_process() -> io::Result<Self> {
        let running = std::env::current_exe()?;
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_default();
        let path = invoked_path(&name, &running).unwrap_or(running);
        Ok(Self { path, arguments: arguments.collect() })
    }

    /// A program with these arguments.
    pub fn new(path: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { path, arguments }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts the program, and waits until it runs, however long that takes.
    pub(super) fn start(&self) -> Result<NewProcess, NotStarted> {
        let (channel, theirs) = pair(PATIENCE).map_err(NotStarted::Channel)?;
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).stdin(Stdio::from(theirs)).env(VARIABLE, STANDARD_INPUT);
        for variable in OF_THE_OLD_PROCESS {
            command.env_remove(variable);
        }
        let path = || self.path.clone();
        let child = command.spawn().map_err(|error| match error.kind() {
            // A script whose interpreter is missing gives the same error.
            io::ErrorKind::NotFound if !self.path.exists() => NotStarted::Missing(path()),
            io::ErrorKind::PermissionDenied => NotStarted::NotExecutable(path()),
            _ => NotStarted::Start(path(), error),
        })?;
        // The command has this process's copy of the other end, which would keep the channel open.
        drop(command);
        NewProcess::new(child, path(), channel)
    }
}

impl NewProcess {
    fn new(mut child: Child, path: PathBuf, channel: Channel) -> Result<Self, NotStarted> {
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(handle) => {
                let (handle, channel) = (Arc::new(handle), Some(channel));
                Ok(Self { child, handle, path, channel, is_given: false })
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(NotStarted::Handle(error.into()))
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.handle))
    }

    /// Sends a message.
    pub fn send(&mut self, pieces: &[&[u8]], descriptors: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        self.channel.as_mut().ok_or(ChannelError::Closed)?.send(pieces, descriptors)
    }

    /// Receives what the new server sends next, as [`Channel::receive`] does.
    pub fn receive(&mut self) -> Result<Received, ChannelError> {
        self.channel.as_mut().ok_or(ChannelError::Closed)?.receive()
    }

    /// Receives what the new server sends next, however long that takes to begin.
    pub fn receive_whenever(&mut self) -> Result<Received, ChannelError> {
        self.channel.as_mut().ok_or(ChannelError::Closed)?.receive_whenever()
    }

    /// Sends the decision, unless the clients are to stay. From then on, the process is not ended any more.
    pub fn decide(&mut self, decision: &Decision) -> Result<(), NotDecided<ChannelError>> {
        let channel = self.channel.as_mut().ok_or(NotDecided::NotSent(ChannelError::Closed))?;
        decision.give(|| channel.send_decision())?;
        self.is_given = true;
        Ok(())
    }

    /// Says how the process has ended, if it does so within a time. An error of the channel says less.
    pub fn how_it_ended(&mut self, within: Duration) -> Option<String> {
        self.reap(within).map(|status| format!("{} has ended: {}", self.path.display(), in_words(status)))
    }

    /// Kills the process and waits until it is gone, and then closes the channel. After the decision it does neither.
    ///
    /// Gives whether the process is gone in time. If it is not, the channel stays open for as long as this process lives; what was
    /// killed carries out no instruction any more.
    pub fn end(mut self) -> bool {
        self.end_unless_given()
    }

    fn end_unless_given(&mut self) -> bool {
        let channel = self.channel.take();
        if self.is_given || channel.is_none() {
            return true;
        }
        self.killer().kill();
        let is_gone = self.reap(REAPING).is_some();
        if !is_gone {
            std::mem::forget(channel);
        }
        is_gone
    }

    fn reap(&mut self, within: Duration) -> Option<ExitStatus> {
        // A process that has ended makes its handle readable.
        wait_for(self.handle.as_fd(), PollFlags::IN, Some(within)).ok().filter(|is_over| *is_over)?;
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for NewProcess {
    fn drop(&mut self) {
        self.end_unless_given();
    }
}

impl Killer {
    /// Kills the process. One that has ended already is left alone.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&*self.0, Signal::KILL);
    }
}

/// Gives the path by which this process was started, if that leads to the program that runs. It may lead over a symbolic link, which
/// an upgrade points elsewhere.
fn invoked_path(name: &OsStr, running: &Path) -> Option<PathBuf> {
    let found = if Path::new(name).components().count() > 1 {
        vec![std::path::absolute(name).ok()?]
    } else {
        let folders = std::env::var_os("PATH")?;
        std::env::split_paths(&folders)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .collect()
    };
    // The link of the kernel leads to the program even when its file was replaced.
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let own = identity(Path::new("/proc/self/exe")).or_else(|| identity(running))?;
    found.into_iter().find(|path| identity(path) == Some(own))
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_program_is_found_by_the_path_of_its_start() {
        let running = std::env::current_exe().unwrap();
        let folder = std::env::temp_dir().join(format!("handover-spawn-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let link = folder.join("gateway-server");
        std::os::unix::fs::symlink(&running, &link).unwrap();
        assert_eq!(invoked_path(link.as_os_str(), &running), Some(link.clone()), "links are not followed");
        assert_eq!(invoked_path(OsStr::new("/bin/sh"), &running), None, "another program is not taken");
        assert_eq!(invoked_path(OsStr::new("no such program"), &running), None);
        fs::remove_dir_all(&folder).unwrap();
        assert!(InstalledBinary::of_this_process().unwrap().path().is_absolute());
    }

    #[test]
    fn what_cannot_be_started_is_an_error_that_says_why() {
        let folder = std::env::temp_dir().join(format!("handover-start-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let error = |path: &Path| {
            let error = InstalledBinary::new(path.to_owned(), Vec::new()).start().unwrap_err();
            error.to_string().replace(&path.display().to_string(), "PATH")
        };
        let path = folder.join("gateway-server");
        assert_eq!(error(&path), "PATH is not there any more: install the program again");
        fs::write(&path, "no program").unwrap();
        assert_eq!(error(&path), "PATH may not be executed by the server's user");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        assert!(error(&path).starts_with("PATH cannot be started: Exec format error"));
        fs::write(&path, "#!/no/such/interpreter\n").unwrap();
        assert!(error(&path).starts_with("PATH cannot be started: No such file"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
