//! A real NATS server, and a proxy between a node and it, by which tests cut, stop or delay their traffic.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::{root, send_signal, skip, soon};

/// The process is killed when this is dropped.
pub struct Nats {
    pub address: SocketAddr,
    program: PathBuf,
    flags: Vec<String>,
    process: Child,
    /// What JetStream keeps.
    _store: Option<TempDir>,
}

impl Nats {
    /// Starts NATS. Where it is not installed, the test is reported as skipped, and this gives `None`.
    pub async fn start(test: &str) -> anyhow::Result<Option<Self>> {
        Self::start_with(test, &[]).await
    }

    pub async fn start_with(test: &str, flags: &[&str]) -> anyhow::Result<Option<Self>> {
        let Some(program) = find("nats-server") else {
            skip(test, "nats-server is not installed (Debian package nats-server)");
            return Ok(None);
        };
        let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let (process, address) = run(&program, -1, &flags).await?;
        Ok(Some(Self { address, program, flags, process, _store: None }))
    }

    /// Starts NATS with JetStream, which the inbox of a cluster needs of version 2.10 or newer.
    pub async fn start_jetstream(test: &str) -> anyhow::Result<Option<Self>> {
        Self::start_jetstream_with(test, &[]).await
    }

    pub async fn start_jetstream_with(test: &str, flags: &[&str]) -> anyhow::Result<Option<Self>> {
        let named = std::env::var_os("NATS_SERVER").map(PathBuf::from);
        let fetched = root().join("target/newer-nats/usr/sbin/nats-server");
        let programs = named.into_iter().chain([fetched]).chain(find("nats-server"));
        let Some(program) = programs.into_iter().find(|program| is_new(program)) else {
            skip(test, "no nats-server 2.10 or newer: scripts/newer-nats fetches one");
            return Ok(None);
        };
        let store = tempfile::tempdir()?;
        let folder = store.path().to_str().context("a path in UTF-8")?.to_owned();
        let flags: Vec<_> =
            ["-js", "-sd", &folder].iter().chain(flags).map(|flag| (*flag).to_owned()).collect();
        let (process, address) = run(&program, -1, &flags).await?;
        Ok(Some(Self { address, program, flags, process, _store: Some(store) }))
    }

    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.process.id().context("a process that has ended")?)?;
        Ok(send_signal(Pid::from_raw(pid), signal)?)
    }

    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.process.kill().await?)
    }

    /// Starts NATS anew at the same address, after [`Nats::kill`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let (process, address) = run(&self.program, self.address.port().into(), &self.flags).await?;
        (self.process, self.address) = (process, address);
        Ok(())
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }
}

/// Finds a program on the path.
fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Debian installs nats-server there, which is on root's path only.
    let directories = std::env::split_paths(&path).chain([Path::new("/usr/sbin").to_owned()]);
    directories.map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// Says whether the program is one that the inbox of a cluster works with.
fn is_new(program: &Path) -> bool {
    let Ok(output) = std::process::Command::new(program).arg("--version").output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.rsplit('v').next().unwrap_or_default().trim().split('.').map(str::parse::<u64>);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    (next(), next()) >= (2, 10)
}

async fn run(program: &Path, port: i32, flags: &[String]) -> anyhow::Result<(Child, SocketAddr)> {
    let mut process = Command::new(program)
        .args(["-a", "127.0.0.1", "-p", &port.to_string()])
        .args(flags)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut log = BufReader::new(process.stderr.take().context("its log")?).lines();
    let address = soon("nats-server's start", async {
        let (mut address, mut said) = (None, String::new());
        while let Some(line) = log.next_line().await? {
            if let Some((_, found)) = line.split_once("client connections on ") {
                address = Some(found.trim().parse()?);
            }
            if line.contains("Server is ready") {
                return address.context("its address");
            }
            said += &format!("\n{line}");
        }
        anyhow::bail!("it ended before it was ready:{said}")
    })
    .await??;
    // The log is read to its end, because NATS would stop once the pipe is full.
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    Ok((process, address))
}

/// A proxy in front of an address. It ends when this is dropped.
pub struct Way {
    pub address: SocketAddr,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// The number of cuts so far. When it grows, connections that were made before are reset.
    cuts: u64,
    /// True if new connections are refused.
    is_closed: bool,
    /// True if bytes are held back in both directions, while the connections stay open and nobody is told.
    is_stalled: bool,
    delay: Duration,
}

impl Way {
    pub async fn to(to: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = State { cuts: 0, is_closed: false, is_stalled: false, delay: Duration::ZERO };
        let state = watch::Sender::new(state);
        let states = Arc::new(state.subscribe());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let mut states = (*states).clone();
                connections.spawn(async move {
                    if states.borrow_and_update().is_closed {
                        let _ = client.set_zero_linger();
                        return;
                    }
                    let cuts = states.borrow().cuts;
                    let _ = client.set_nodelay(true);
                    let Ok(server) = TcpStream::connect(to).await else { return };
                    let _ = server.set_nodelay(true);
                    let (mut client, mut server) = (client, server);
                    let mut cut = states.clone();
                    let is_cut = {
                        let ((from_client, to_client), (from_server, to_server)) =
                            (client.split(), server.split());
                        tokio::select! {
                            _ = forward(from_client, to_server, states.clone()) => false,
                            _ = forward(from_server, to_client, states.clone()) => false,
                            _ = cut.wait_for(|state| state.cuts != cuts) => true,
                        }
                    };
                    if is_cut {
                        // With a linger of zero, closing sends RST whatever still waits to be sent or read.
                        let _ = (client.set_zero_linger(), server.set_zero_linger());
                    }
                });
            }
        });
        Ok(Self { address, state, task })
    }

    /// Resets the present connections; new ones get through.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Resets the present connections, and refuses new ones until [`Way::open`].
    pub fn close(&self) {
        self.state.send_modify(|state| {
            state.cuts += 1;
            state.is_closed = true;
        });
    }

    pub fn stall(&self) {
        self.state.send_modify(|state| state.is_stalled = true);
    }

    pub fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Makes the proxy pass everything again, without a delay.
    pub fn open(&self) {
        self.state.send_modify(|state| {
            *state = State { is_closed: false, is_stalled: false, delay: Duration::ZERO, ..*state };
        });
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut states: watch::Receiver<State>,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let delay = states.borrow().delay;
        tokio::time::sleep(delay).await;
        states.wait_for(|state| !state.is_stalled).await?;
        to.write_all(&buffer[..length]).await?;
    }
}
