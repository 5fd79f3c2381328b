//! The memory of a server's processes during an upgrade.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use gateway_tests::children;
use nix::unistd::Pid;

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// A thread that looks at the memory again and again.
pub(super) struct MemoryWatch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl MemoryWatch {
    /// Watches these processes and the children that they start.
    pub(super) fn start(processes: Vec<Pid>) -> anyhow::Result<Self> {
        let is_over = Arc::<AtomicBool>::default();
        let thread = std::thread::Builder::new().name("memory".to_owned()).spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                let mut peak = 0;
                while !is_over.load(Ordering::Relaxed) {
                    peak = peak.max(with_children(&processes));
                    std::thread::sleep(LOOK);
                }
                peak
            }
        })?;
        Ok(Self { is_over, thread })
    }

    /// The most bytes that all of them had together.
    pub(super) fn peak(self) -> anyhow::Result<u64> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the thread that watches memory panicked")
    }
}

/// The bytes of these processes and of their children together.
pub(super) fn with_children(processes: &[Pid]) -> u64 {
    let mut all = processes.to_vec();
    for process in processes {
        all.extend(children(*process).unwrap_or_default());
    }
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(bytes).sum()
}

/// The bytes of user memory of a process, none once it has ended; pages that processes share count in part.
fn bytes(process: Pid) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}
