//! The resources that this process uses, as the system counts them.

use tokio::task::spawn_blocking;

/// The process' memory in bytes and its open files. A value is zero when the system does not give it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub(super) memory: u64,
    pub(super) open_files: u64,
    pub(super) max_open_files: u64,
}

pub(super) async fn look() -> Process {
    // A system before Linux 6.2 lists every single file, which may take long, so a blocking thread reads this.
    spawn_blocking(read).await.unwrap_or_default()
}

fn read() -> Process {
    Process {
        memory: memory().unwrap_or_default(),
        open_files: open_files(),
        max_open_files: rlimit::Resource::NOFILE.get_soft().unwrap_or_default(),
    }
}

fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

fn open_files() -> u64 {
    const FILES: &str = "/proc/self/fd";
    match std::fs::metadata(FILES) {
        // Since Linux 6.2 the folder's length is the number of files.
        Ok(folder) if folder.len() > 0 => folder.len(),
        _ => std::fs::read_dir(FILES).map_or(0, |files| files.count() as u64),
    }
}
