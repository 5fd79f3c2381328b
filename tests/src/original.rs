//! The stack that ours replaces: GatewayWorker's register, gateway and worker processes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::process_group::ProcessGroup;
use crate::{Client, eventually, root};

/// Where its sources are, or which variable is missing.
const SOURCES: [&str; 4] =
    ["GATEWAYCLIENT_PATH", "GATEWAYWORKER_PATH", "WORKERMAN_PATH", "WORKERMAN_COROUTINE_PATH"];

/// Stopped when dropped.
pub struct OriginalStack {
    pub websocket: SocketAddr,
    pub register: SocketAddr,
    _processes: ProcessGroup,
    data: PathBuf,
}

impl OriginalStack {
    /// The variable that must be set first, if one is not.
    pub fn missing() -> Option<&'static str> {
        SOURCES.into_iter().find(|name| std::env::var_os(name).is_none())
    }

    /// Starts it and waits until it serves.
    pub async fn start() -> anyhow::Result<Self> {
        let [websocket, register, internal] = [free_port()?, free_port()?, free_port()?];
        let data = std::env::temp_dir().join(format!("original-stack-{}", register.port()));
        std::fs::create_dir_all(&data)?;
        let mut command = Command::new("php");
        command
            .arg(root().join("tests/php/gatewayworker/start.php"))
            .arg("start")
            .env("WEBSOCKET", websocket.to_string())
            .env("REGISTER", register.to_string())
            .env("INTERNAL", internal.port().to_string())
            .env("STACK_DATA", &data);
        let (processes, _) = ProcessGroup::start(command, "Start success").await?;
        let stack = Self { websocket, register, _processes: processes, data };
        // Its worker says who a client is once it is connected; a client that comes earlier is closed.
        eventually("GatewayWorker serves", true, async || Ok(Client::connect(websocket).await.is_ok()))
            .await?;
        Ok(stack)
    }
}

impl Drop for OriginalStack {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// A gateway of GatewayWorker that registers elsewhere. Stopped when dropped.
pub struct OriginalGateway {
    pub websocket: SocketAddr,
    _processes: ProcessGroup,
    _data: tempfile::TempDir,
}

impl OriginalGateway {
    pub async fn start(register: SocketAddr) -> anyhow::Result<Self> {
        let [websocket, internal] = [free_port()?, free_port()?];
        let data = tempfile::tempdir()?;
        let mut command = Command::new("php");
        command
            .arg(root().join("tests/php/gatewayworker/role.php"))
            .arg("start")
            .env("ROLE", "gateway")
            .env("SECRET", "")
            .env("WEBSOCKET", websocket.to_string())
            .env("REGISTER", register.to_string())
            .env("INTERNAL", internal.port().to_string())
            .env("STACK_DATA", data.path());
        let (processes, _) = ProcessGroup::start(command, "Start success").await?;
        Ok(Self { websocket, _processes: processes, _data: data })
    }
}

/// It cannot pick a port itself.
pub(crate) fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
