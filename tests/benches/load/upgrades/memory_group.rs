//! A memory cgroup for the processes of one server. What it counts has the kernel's memory for their sockets in it, which the memory of
//! the processes has not.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::process::Command;

/// Where groups are made, with the file that has their usage: of the first version of cgroups, and of the second one.
const ROOTS: [(&str, &str); 2] =
    [("/sys/fs/cgroup/memory", "memory.usage_in_bytes"), ("/sys/fs/cgroup", "memory.current")];
/// How long an ended server may take to leave its group.
const LEAVE: Duration = Duration::from_secs(5);

pub(super) struct MemoryGroup {
    folder: PathBuf,
    usage: PathBuf,
}

impl MemoryGroup {
    /// Makes a group. Gives `None` where this process may not, or the kernel counts no memory by groups.
    pub(super) fn make() -> Option<Self> {
        static GROUPS: AtomicUsize = AtomicUsize::new(0);
        let number = GROUPS.fetch_add(1, Ordering::Relaxed);
        ROOTS.into_iter().find_map(|(root, usage)| {
            let folder = Path::new(root).join(format!("gateway-bench-{}-{number}", std::process::id()));
            fs::create_dir(&folder).ok()?;
            let group = Self { usage: folder.join(usage), folder };
            group.bytes().map(|_| group)
        })
    }

    /// Has the process that the command starts begin in the group.
    #[allow(unsafe_code)]
    pub(super) fn begin_in(&self, command: &mut Command) -> std::io::Result<()> {
        let mut processes = File::options().write(true).open(self.folder.join("cgroup.procs"))?;
        // SAFETY: between fork and exec there is one write of one byte, by which a process puts itself into the group.
        unsafe { command.as_std_mut().pre_exec(move || processes.write_all(b"0")) };
        Ok(())
    }

    /// The bytes of memory that the group takes now.
    pub(super) fn bytes(&self) -> Option<u64> {
        fs::read_to_string(&self.usage).ok()?.trim().parse().ok()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let start = Instant::now();
        while fs::remove_dir(&self.folder).is_err() && start.elapsed() < LEAVE {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
