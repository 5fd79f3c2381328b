//! A real gateway-server process on free ports.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::{Operator, send_signal, server_binary, soon};

/// The process is killed when this is dropped, and so is one that has taken over from it.
pub struct Server {
    pub websocket: SocketAddr,
    /// The addresses of the listeners from `--listener` or from the settings file, in their order.
    pub listeners: Vec<SocketAddr>,
    pub register: Vec<SocketAddr>,
    pub unix: Option<PathBuf>,
    /// The address of `--operations`, if it was given.
    pub operations: Option<SocketAddr>,
    process: Child,
    /// The process that has taken over from `process`, if one has.
    successor: Option<Pid>,
    log: Lines<BufReader<ChildStderr>>,
}

/// Adds free ports for clients and PHP to a command of the server's program, where it names none.
pub(crate) fn use_free_ports(command: &mut Command) {
    let given: Vec<_> = command.as_std().get_args().map(|flag| flag.to_string_lossy().into_owned()).collect();
    for flag in ["--websocket", "--register"] {
        if !given.iter().any(|one| one == flag) {
            command.args([flag, "127.0.0.1:0"]);
        }
    }
}

impl Server {
    /// Starts a server with these flags in addition to free ports, and waits until it listens.
    pub async fn start(flags: &[&str]) -> anyhow::Result<Self> {
        Self::start_with(|command| {
            command.args(flags);
        })
        .await
    }

    /// Does the same as [`Server::start`] for what flags cannot do, such as variables. A port that `prepare` sets is left as
    /// it is.
    pub async fn start_with(prepare: impl FnOnce(&mut Command)) -> anyhow::Result<Self> {
        Self::start_binary(&server_binary()?, prepare).await
    }

    /// Does the same as [`Server::start_with`] with the server's program at another place.
    pub async fn start_binary(binary: &Path, prepare: impl FnOnce(&mut Command)) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        prepare(&mut command);
        use_free_ports(&mut command);
        command.stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().context("starting the server")?;
        let stderr = process.stderr.take().context("the server's log")?;
        let mut log = BufReader::new(stderr).lines();

        let ready = soon("the server's start", async {
            while let Some(line) = log.next_line().await? {
                if line.contains(" ready ") {
                    return Ok(line);
                }
                eprintln!("{line}");
            }
            anyhow::bail!("the server ended before it was ready")
        })
        .await??;
        let value = |key: &str| {
            ready
                .split_whitespace()
                .find_map(|word| word.strip_prefix(key))
                .with_context(|| format!("{key} in {ready}"))
        };
        let (tcp, unix): (Vec<_>, Vec<_>) =
            value("register=")?.split(',').partition(|address| !address.starts_with("unix://"));
        let listeners = value("listeners=").unwrap_or_default();
        Ok(Self {
            listeners: listeners
                .split(',')
                .filter_map(|listener| listener.split_once("://"))
                .map(|(_, address)| address.parse())
                .collect::<Result<_, _>>()?,
            websocket: value("websocket=")?.parse()?,
            register: tcp.iter().map(|address| address.parse()).collect::<Result<_, _>>()?,
            unix: unix.first().map(|address| address.trim_start_matches("unix://").into()),
            operations: value("operations=").ok().map(str::parse).transpose()?,
            process,
            successor: None,
            log,
        })
    }

    /// Waits for a line of the log that contains `text`.
    pub async fn logs(&mut self, text: &str) -> anyhow::Result<String> {
        soon(&format!("a log line with {text:?}"), async {
            while let Some(line) = self.log.next_line().await? {
                eprintln!("{line}");
                if line.contains(text) {
                    return Ok(line);
                }
            }
            anyhow::bail!("the log ended without {text:?}")
        })
        .await?
    }

    /// Has a new process of the binary take over, and gives what `POST /upgrade` has answered. The old process may stay as a relay.
    pub async fn upgrade(&mut self) -> anyhow::Result<serde_json::Value> {
        let operator = Operator::of(self)?;
        self.upgrade_by(&operator).await
    }

    /// Has a new process take over, as this operator. Gives what the old one has answered.
    pub async fn upgrade_by(&mut self, operator: &Operator) -> anyhow::Result<serde_json::Value> {
        let answer = operator.ask("POST", "/upgrade", "").await?;
        anyhow::ensure!(answer.status == 200, "{answer:?}");
        let upgraded = answer.json()?;
        let pid = upgraded["pid"].as_i64().context("the pid of the new process")?;
        self.successor = Some(Pid::from_raw(pid.try_into()?));
        Ok(upgraded)
    }

    /// Takes the process for the one that has taken over.
    pub fn adopt(&mut self, successor: Pid) {
        self.successor = Some(successor);
    }

    /// The process that serves.
    pub fn pid(&self) -> anyhow::Result<Pid> {
        if let Some(successor) = self.successor {
            return Ok(successor);
        }
        Ok(Pid::from_raw(self.process.id().context("the server has ended")?.try_into()?))
    }

    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(send_signal(self.pid()?, signal)?)
    }

    pub async fn exit(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(soon("the server's end", self.process.wait()).await??)
    }

    /// Gives the resident memory in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// Gives the CPU time so far, in hundredths of a second.
    pub fn cpu_ticks(&self) -> anyhow::Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()?))?;
        // The process's name stands in brackets and may hold any character, so the fields are counted behind the last
        // bracket: user and system time are the 12th and 13th.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
    }

    pub fn open_files(&self) -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.pid()?))?.count())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(successor) = self.successor {
            // It may have ended by itself.
            let _ = kill(successor, Signal::SIGKILL);
        }
    }
}
