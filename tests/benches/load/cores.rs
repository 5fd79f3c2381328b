//! The cores: where there are two, one is for the server and the other for the load; otherwise both share one.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

#[derive(Clone, Copy)]
pub(crate) struct Cores {
    server: CpuSet,
    load: CpuSet,
    pub(crate) are_apart: bool,
}

impl Cores {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let allowed = allowed()?;
        let server = allowed.first().copied().unwrap_or(0);
        let load = allowed.get(1).copied().unwrap_or(server);
        Ok(Self { server: set(&[server])?, load: set(&[load])?, are_apart: server != load })
    }

    /// Gives the same two cores, each of which serves both the server and the load.
    pub(crate) fn shared(self) -> anyhow::Result<Self> {
        let both = [numbers(self.server), numbers(self.load)].concat();
        Ok(Self { server: set(&both)?, load: set(&both)?, are_apart: false })
    }

    pub(crate) fn of_server(self) -> usize {
        numbers(self.server).len()
    }

    /// Runs `start` so that every process that it starts runs on the server's cores.
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

fn allowed() -> anyhow::Result<Vec<usize>> {
    Ok(numbers(sched_getaffinity(Pid::from_raw(0))?))
}

fn numbers(set: CpuSet) -> Vec<usize> {
    (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect()
}

fn set(cores: &[usize]) -> anyhow::Result<CpuSet> {
    let mut set = CpuSet::new();
    cores.iter().try_for_each(|core| set.set(*core))?;
    Ok(set)
}

/// Binds this thread, and everything that it starts from now on, to these cores.
fn pin(cores: CpuSet) -> anyhow::Result<()> {
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}
