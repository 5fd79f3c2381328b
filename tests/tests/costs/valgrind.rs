//! A server that runs under one of valgrind's tools, and what the tool says of it when it is asked.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use gateway_tests::{Server, done, server_binary};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

pub(crate) struct Valgrind {
    pub(crate) server: Server,
    folder: tempfile::TempDir,
    /// The number of profiles that callgrind has written so far.
    profiles: usize,
}

/// The settings under which the same work takes the same instructions each time.
const FLAGS: [&str; 4] = ["--shards", "1", "--ping-interval", "0"];

/// The number of cores of which this looks for one that it may use.
const CORES: usize = 64;

impl Valgrind {
    /// Gives the reason why there is no valgrind here, if there is none.
    pub(crate) fn missing() -> Option<String> {
        let is_there = |program| Command::new(program).arg("--version").output().is_ok();
        // vgdb knows no --version, and says so.
        (!is_there("valgrind") || !is_there("vgdb")).then(|| "valgrind is not installed".to_owned())
    }

    /// Starts the server under the tool with these flags of the tool and of the server.
    pub(crate) async fn start(tool: &str, flags: &[&str], of_server: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let binary = server_binary()?;
        // The server has a thread for each core that it may use, and what these say to each other is not the same each time.
        let cores = sched_getaffinity(Pid::from_raw(0))?;
        let mut one = CpuSet::new();
        one.set((0..CORES).find(|core| cores.is_set(*core).unwrap_or(false)).context("no core")?)?;
        sched_setaffinity(Pid::from_raw(0), &one)?;
        let server = Server::start_binary("valgrind".as_ref(), |command| {
            command.arg(format!("--tool={tool}")).args(flags);
            for file in ["callgrind", "massif"].into_iter().filter(|file| *file == tool) {
                command.arg(format!("--{file}-out-file={}", folder.path().join("profile").display()));
            }
            command.arg(format!("--vgdb-prefix={}", folder.path().join("vgdb").display()));
            command.arg(binary).args(FLAGS).args(of_server);
        })
        .await;
        sched_setaffinity(Pid::from_raw(0), &cores)?;
        Ok(Self { server: server?, folder, profiles: 0 })
    }

    /// Has the tool carry out a command of its own while the server waits.
    pub(crate) fn command(&self, words: &[&str]) -> anyhow::Result<()> {
        let prefix = format!("--vgdb-prefix={}", self.folder.path().join("vgdb").display());
        done(Command::new("vgdb").arg(prefix).args(words)).map(drop)
    }

    /// Has callgrind forget what it has counted.
    pub(crate) fn zero(&self) -> anyhow::Result<()> {
        self.command(&["zero"])
    }

    /// Gives what callgrind has counted since it was asked last.
    pub(crate) fn profile(&mut self) -> anyhow::Result<String> {
        self.command(&["dump"])?;
        self.profiles += 1;
        self.read(&format!("profile.{}", self.profiles))
    }

    /// Gives the bytes that the server has allocated and not freed, as massif counts them.
    pub(crate) fn heap(&self) -> anyhow::Result<u64> {
        let file = self.path("snapshot");
        self.command(&["snapshot", file.to_str().context("the folder's name")?])?;
        let text = self.read("snapshot")?;
        let bytes = text.lines().find_map(|line| line.strip_prefix("mem_heap_B=")).context("mem_heap_B")?;
        Ok(bytes.parse()?)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(self.path(file)).with_context(|| format!("valgrind has written no {file}"))
    }
}
