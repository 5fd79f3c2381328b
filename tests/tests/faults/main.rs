//! Drills: something around the server fails, or a part of the server does. Each ends in service again, or in the end of the
//! process with an exit code by which it is restarted; never in a server that works by halves.

mod clock;
mod doctor;
mod hangs;
mod inbox;
mod log;
mod panics;
mod starvation;

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::Context as _;
use gateway_tests::{Client, Operator, PhpPeer, eventually, free_port, server_binary};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// A server whose log goes where a test wants it to. Its ports are chosen by the test, because it cannot read them from the
/// log.
struct Unheard {
    process: Child,
    websocket: SocketAddr,
    register: SocketAddr,
    operator: Operator,
}

impl Unheard {
    async fn start(log: impl Into<Stdio>, flags: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(server_binary()?);
        command.stderr(log);
        Self::start_by(command, flags).await
    }

    /// Starts the server by this command, which must become the server itself.
    async fn start_by(mut command: Command, flags: &[&str]) -> anyhow::Result<Self> {
        let [websocket, register, operations] = [free_port()?, free_port()?, free_port()?];
        let process = command
            .args(["--websocket", &websocket.to_string(), "--register", &register.to_string()])
            .args(["--operations", &operations.to_string(), "--shards", "1"])
            .args(flags)
            .kill_on_drop(true)
            .spawn()?;
        let operator = Operator { address: operations, token: None };
        eventually("a server that is ready", true, async || {
            Ok(operator.get("/readyz").await.is_ok_and(|answer| answer.status == 200))
        })
        .await?;
        Ok(Self { process, websocket, register, operator })
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.process.id().context("the server has ended")?;
        Ok(kill(Pid::from_raw(pid.cast_signed()), signal)?)
    }

    /// Checks that the server serves: clients connect, one gets a push, and one that breaks the protocol is closed for that,
    /// which writes a line to the log.
    async fn serves(&self) -> anyhow::Result<()> {
        let mut broken = Client::connect(self.websocket).await?;
        let mut other = Client::connect(self.websocket).await?;
        // A client's frame must be masked, and this one is not.
        broken.socket.get_mut().write_all(b"\x81\x01x").await?;
        assert_eq!(broken.closed().await?.0, 1002);
        let mut php = PhpPeer::connect(self.register).await?;
        php.send_to_all("still here").await?;
        assert_eq!(other.text().await?, "still here");
        Ok(())
    }
}
