//! The memory of a server's processes during an upgrade.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use gateway_tests::children;
use nix::unistd::Pid;

use super::memory_group::MemoryGroup;

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// Bytes of memory of all processes of a server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Without the kernel's; pages that processes share count once.
    pub(crate) user: u64,
    /// With the kernel's for their sockets, where that can be had.
    pub(crate) whole: Option<u64>,
}

/// A thread that looks at the memory again and again.
pub(super) struct MemoryWatch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Memory>,
}

impl Memory {
    /// The memory of these processes and of the children that they have started, which are all that are in the group.
    pub(super) fn of(processes: &[Pid], group: Option<&MemoryGroup>) -> Self {
        let mut all = processes.to_vec();
        for process in processes {
            all.extend(children(*process).unwrap_or_default());
        }
        // A child shares its parent's memory until it runs its program.
        let memories: BTreeMap<String, u64> = all.into_iter().filter_map(memory).collect();
        Self { user: memories.into_values().sum(), whole: group.and_then(MemoryGroup::bytes) }
    }

    /// What this is of the memory before: without the kernel's, and with it.
    pub(crate) fn ratios(self, before: Self) -> (f64, Option<f64>) {
        let ratio = |now: u64, before: u64| now as f64 / before as f64;
        let whole = self.whole.zip(before.whole);
        (ratio(self.user, before.user), whole.map(|(now, before)| ratio(now, before)))
    }
}

impl MemoryWatch {
    /// Watches these processes and the children that they start.
    pub(super) fn start(processes: Vec<Pid>, group: Option<Arc<MemoryGroup>>) -> anyhow::Result<Self> {
        let is_over = Arc::<AtomicBool>::default();
        let thread = std::thread::Builder::new().name("memory".to_owned()).spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                let mut peak = Memory::default();
                while !is_over.load(Ordering::Relaxed) {
                    let now = Memory::of(&processes, group.as_deref());
                    peak = Memory { user: peak.user.max(now.user), whole: peak.whole.max(now.whole) };
                    std::thread::sleep(LOOK);
                }
                peak
            }
        })?;
        Ok(Self { is_over, thread })
    }

    /// The most that all of them had together.
    pub(super) fn peak(self) -> anyhow::Result<Memory> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the thread that watches memory panicked")
    }
}

/// The range of addresses of a process, which no other has by chance, and the bytes of its user memory; pages that processes share count in
/// part. Gives `None` once the process has ended.
fn memory(process: Pid) -> Option<(String, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let range = text.split_whitespace().next()?.to_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some((range, line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024))
}
