//! A server that runs, with those in front of it: where it takes clients and orders, and what it takes of the machine.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway_tests::{PATIENCE, ProcessGroup, TestCertificate, children};
use nix::unistd::Pid;

use crate::contender::Contender;
use crate::endpoint::Endpoint;
use crate::publisher::Publisher;

/// The pause between two looks at what a server says of itself.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Running {
    pub(crate) contender: Contender,
    pub(crate) websocket: Endpoint,
    /// Where messages are published.
    pub(crate) register: SocketAddr,
    /// Where our server says how many clients are parked.
    pub(crate) operations: Option<SocketAddr>,
    /// The server, and what stands in front of it.
    pub(crate) groups: Vec<ProcessGroup>,
    pub(crate) _folder: Option<tempfile::TempDir>,
    pub(crate) _certificate: Option<TestCertificate>,
}

impl Running {
    pub(crate) fn publisher(&self) -> anyhow::Result<Publisher> {
        match self.contender {
            ours if ours.is_ours() => Publisher::bridge(self.register),
            Contender::GatewayWorker | Contender::GatewayWorkerEvent => Publisher::original(self.register),
            Contender::Nchan | Contender::SocketIo => Publisher::http(self.register),
            Contender::Sockudo | Contender::Reverb => Publisher::pusher(self.register),
            _ => Publisher::websocket(self.register),
        }
    }

    /// Waits until so many of our server's clients are parked.
    pub(crate) fn wait_for_parked(&self, clients: usize) -> anyhow::Result<()> {
        let operations = self.operations.context("a server with an operations port")?;
        let (start, line) = (Instant::now(), format!("\ngateway_parked_clients {clients}\n"));
        loop {
            let mut socket = TcpStream::connect(operations)?;
            write!(socket, "GET /metrics HTTP/1.1\r\nHost: {operations}\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer)?;
            if answer.contains(&line) {
                return Ok(());
            }
            anyhow::ensure!(start.elapsed() < PATIENCE, "{clients} clients are not parked");
            std::thread::sleep(LOOK);
        }
    }

    /// All processes that have a part in the work, with those that they have started.
    fn processes(&self) -> anyhow::Result<Vec<Pid>> {
        let mut all: Vec<_> =
            self.groups.iter().map(|group| Pid::from_raw(group.leader().cast_signed())).collect();
        let mut next = 0;
        while let Some(process) = all.get(next) {
            all.extend(children(*process)?);
            next += 1;
        }
        Ok(all)
    }

    /// The CPU time that all threads of the server, and of what stands in front of it, have taken so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut sum = 0;
        for process in self.processes()? {
            for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
                // A thread may have ended since the folder was read.
                let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
                sum += text.split_whitespace().next().context("schedstat")?.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(sum))
    }

    /// The bytes of user memory; shared pages count in part.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for process in self.processes()? {
            let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("Pss")?;
            sum += line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024;
        }
        Ok(sum)
    }
}
