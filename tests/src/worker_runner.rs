//! Our own worker runner (`gateway-worker`) with the extension, connected to our server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::process_group::ProcessGroup;
use crate::{php_of_the_machine, root, send_signal};

/// The processes are killed when this is dropped.
pub struct WorkerRunner {
    processes: ProcessGroup,
    data: tempfile::TempDir,
}

impl WorkerRunner {
    /// Starts `count` workers that handle events by tests/php/worker/Events.php.
    pub async fn start(register: SocketAddr, count: usize) -> anyhow::Result<Self> {
        Self::start_with(root().join("tests/php/worker/Events.php"), register, count).await
    }

    /// Starts `count` workers that handle events by the file `events`.
    pub async fn start_with(events: PathBuf, register: SocketAddr, count: usize) -> anyhow::Result<Self> {
        Self::start_for(events, &[register], count, "").await
    }

    /// Starts `count` workers for several nodes, which ask for a secret.
    pub async fn start_for(
        events: PathBuf,
        registers: &[SocketAddr],
        count: usize,
        secret: &str,
    ) -> anyhow::Result<Self> {
        Self::start_in(events, registers, count, secret, &[]).await
    }

    /// Starts `count` workers with more options of the command line.
    pub async fn start_in(
        events: PathBuf,
        registers: &[SocketAddr],
        count: usize,
        secret: &str,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let registers: Vec<_> = registers.iter().map(ToString::to_string).collect();
        let data = tempfile::tempdir()?;
        let mut command = Self::command(&data, "start")?;
        command
            .arg(events)
            .arg(format!("--count={count}"))
            .arg(format!("--register={}", registers.join(",")))
            .args(more)
            .env("GATEWAY_SECRET_KEY", secret)
            .env("DIARY", data.path().join("diary"));
        let (processes, line) = ProcessGroup::start(command, "starts").await?;
        let workers = if count == 1 { "1 worker".to_owned() } else { format!("{count} workers") };
        anyhow::ensure!(line.contains(&format!("starts {workers} for ")), "{line}");
        Ok(Self { processes, data })
    }

    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(send_signal(Pid::from_raw(self.processes.leader().try_into()?), signal)?)
    }

    /// Waits until the workers, or the process that starts them, have written this to their log.
    pub async fn logs(&self, text: &str) -> anyhow::Result<()> {
        self.processes.says(text).await
    }

    /// Runs `gateway-worker status`, and gives what it prints to stdout or, when it fails, to stderr.
    pub async fn status(&self) -> anyhow::Result<String> {
        let mut command = tokio::process::Command::from(Self::command(&self.data, "status")?);
        let output = command.output().await?;
        let text = if output.status.success() { output.stdout } else { output.stderr };
        Ok(String::from_utf8(text)?)
    }

    /// Gives the pids of the processes that serve.
    pub async fn serving(&self) -> anyhow::Result<Vec<Pid>> {
        let status = self.status().await?;
        let serving = status.lines().filter(|line| line.contains(" serving "));
        let pids = serving.filter_map(|line| line.split_whitespace().nth(1)?.parse().ok());
        Ok(pids.map(Pid::from_raw).collect())
    }

    /// Gives what the workers wrote down about what they did, one line each.
    pub fn diary(&self) -> anyhow::Result<Vec<String>> {
        match std::fs::read_to_string(self.data.path().join("diary")) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the wait of a handler that was told "answer, then wait".
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.mark("go-on")
    }

    /// Makes an empty file beside the diary, of whose name a handler knows this end.
    pub fn mark(&self, end: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.data.path().join(format!("diary.{end}")), "")?)
    }

    fn command(data: &tempfile::TempDir, word: &str) -> anyhow::Result<Command> {
        let mut command = php_of_the_machine()?;
        command
            .arg(root().join("php/worker/bin/gateway-worker"))
            .arg(word)
            .arg(format!("--pid-file={}", data.path().join("pid").display()));
        Ok(command)
    }
}
