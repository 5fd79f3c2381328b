//! The stack that ours replaces: GatewayWorker's register, gateway and worker processes.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::original_role::{Roles, events};
use crate::process_group::ProcessGroup;
use crate::{Client, eventually, free_port};

/// Where its sources are, or which variable is missing.
const SOURCES: [&str; 4] =
    ["GATEWAYCLIENT_PATH", "GATEWAYWORKER_PATH", "WORKERMAN_PATH", "WORKERMAN_COROUTINE_PATH"];

/// Stopped when dropped.
pub struct OriginalStack {
    pub websocket: SocketAddr,
    pub register: SocketAddr,
    _processes: ProcessGroup,
    _data: tempfile::TempDir,
}

impl OriginalStack {
    /// The variable that must be set first, if one is not.
    pub fn missing() -> Option<&'static str> {
        SOURCES.into_iter().find(|name| std::env::var_os(name).is_none())
    }

    /// Starts it with one worker that tells each client who it is, and waits until it serves.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(events("Events.php"), 1).await
    }

    /// So many workers handle events as the file says, which must tell each client who it is.
    pub async fn start_with(events: PathBuf, workers: usize) -> anyhow::Result<Self> {
        // A client that comes before there is a worker is closed.
        let serves = async |websocket| Client::connect(websocket).await.is_ok();
        Self::start_until(events, workers, serves).await
    }

    /// The same for any handlers: `serves` says whether one has handled something.
    pub async fn start_until(
        events: PathBuf,
        workers: usize,
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
            settings: &[],
        };
        let processes = roles.start(data.path()).await?;
        let stack = Self { websocket, register, _processes: processes, _data: data };
        eventually("GatewayWorker serves", true, async || Ok(serves(websocket).await)).await?;
        Ok(stack)
    }
}

/// A gateway of GatewayWorker that registers elsewhere. Stopped when dropped.
pub struct OriginalGateway {
    pub address: SocketAddr,
    _processes: ProcessGroup,
    _data: tempfile::TempDir,
}

impl OriginalGateway {
    /// Clients speak the `protocol` with it.
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
