//! One core for the server, another for the load, where there are two.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

#[derive(Clone, Copy)]
pub(crate) struct Cores {
    server: usize,
    load: usize,
}

impl Cores {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
        let server = cores.next().unwrap_or(0);
        Ok(Self { server, load: cores.next().unwrap_or(server) })
    }

    pub(crate) fn are_two(self) -> bool {
        self.server != self.load
    }

    /// What is started inside runs on the server's core.
    pub(crate) async fn as_server<T>(
        self,
        start: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        pin(self.server)?;
        let started = start.await;
        self.stay_with_load()?;
        started
    }

    pub(crate) fn stay_with_load(self) -> anyhow::Result<()> {
        pin(self.load)
    }
}

/// This thread, and what it starts from now on.
fn pin(core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}
