//! The original stack that ours replaces: GatewayWorker's register, gateway and worker processes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::artifacts::unset_sources;
use crate::original_role::{Roles, events};
use crate::process_group::ProcessGroup;
use crate::{Client, eventually, free_port};

/// The environment variables that hold the paths of its sources.
const SOURCES: [&str; 4] =
    ["GATEWAYCLIENT_PATH", "GATEWAYWORKER_PATH", "WORKERMAN_PATH", "WORKERMAN_COROUTINE_PATH"];

/// The processes are stopped when this is dropped.
pub struct OriginalStack {
    pub websocket: SocketAddr,
    pub register: SocketAddr,
    /// Where the gateway takes orders.
    pub internal: SocketAddr,
    pub processes: ProcessGroup,
    pub data: tempfile::TempDir,
}

impl OriginalStack {
    /// Gives the reason why it cannot be started, where the paths of its sources are not set.
    pub fn missing() -> Option<String> {
        unset_sources(&SOURCES)
    }

    /// Starts it with one worker, which tells each client its client id, and waits until it serves.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(events("Events.php"), 1).await
    }

    /// Starts it like [`OriginalStack::start`], with the PHP extension in this file.
    pub async fn start_with_extension(extension: &Path) -> anyhow::Result<Self> {
        let extension = format!("extension={}", extension.display());
        Self::start_settled(events("Events.php"), 1, &[extension], serves).await
    }

    /// Starts it with `workers` workers that handle events by the file `events`, which must tell each client its client id.
    pub async fn start_with(events: PathBuf, workers: usize) -> anyhow::Result<Self> {
        Self::start_until(events, workers, serves).await
    }

    /// Starts it with any handlers. `serves` says whether a worker has already handled something.
    pub async fn start_until(
        events: PathBuf,
        workers: usize,
        serves: impl AsyncFn(SocketAddr) -> bool,
    ) -> anyhow::Result<Self> {
        Self::start_settled(events, workers, &[], serves).await
    }

    /// Starts it with these settings of php.ini, each as `name=value`.
    async fn start_settled(
        events: PathBuf,
        workers: usize,
        settings: &[String],
        serves: impl AsyncFn(SocketAddr) -> bool,
    ) -> anyhow::Result<Self> {
        let [websocket, register, internal] = [free_port()?, free_port()?, free_port()?];
        let data = tempfile::tempdir()?;
        let roles = Roles {
            names: "register,gateway,worker",
            register,
            secret: "",
            protocol: "websocket",
            gateway: Some((websocket, internal)),
            events,
            workers,
            settings,
        };
        let processes = roles.start(data.path()).await?;
        let stack = Self { websocket, register, internal, processes, data };
        eventually("GatewayWorker serves", true, async || Ok(serves(websocket).await)).await?;
        Ok(stack)
    }
}

/// Whether a client that comes stays: the original closes one that comes before there is a worker.
async fn serves(websocket: SocketAddr) -> bool {
    Client::connect(websocket).await.is_ok()
}

/// A gateway process of GatewayWorker that registers at another register. It is stopped when this is dropped.
pub struct OriginalGateway {
    pub address: SocketAddr,
    _processes: ProcessGroup,
    _data: tempfile::TempDir,
}

impl OriginalGateway {
    /// Starts a gateway with which clients speak the `protocol`.
    pub async fn start(protocol: &str, register: SocketAddr) -> anyhow::Result<Self> {
        let [address, internal] = [free_port()?, free_port()?];
        let data = tempfile::tempdir()?;
        let roles = Roles {
            names: "gateway",
            register,
            secret: "",
            protocol,
            gateway: Some((address, internal)),
            events: PathBuf::new(),
            workers: 0,
            settings: &[],
        };
        let processes = roles.start(data.path()).await?;
        Ok(Self { address, _processes: processes, _data: data })
    }
}
