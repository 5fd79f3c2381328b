//! The original stack in parts: a register, gateways and a worker that can be stopped and started one by one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::original::free_port;
use crate::process_group::ProcessGroup;
use crate::{Client, eventually, root};

/// Stopped when dropped.
pub struct OriginalCluster {
    pub register: SocketAddr,
    pub gateways: Vec<OriginalGateway>,
    secret: String,
    register_process: Option<ProcessGroup>,
    _worker: ProcessGroup,
    data: tempfile::TempDir,
}

pub struct OriginalGateway {
    pub websocket: SocketAddr,
    pub internal: SocketAddr,
    process: Option<ProcessGroup>,
}

impl OriginalCluster {
    /// Starts it and waits until every gateway serves.
    pub async fn start(gateways: usize, secret: &str) -> anyhow::Result<Self> {
        let register = free_port()?;
        let data = tempfile::tempdir()?;
        let role = |name: &str| role(name, register, secret, data.path().join(name));
        let register_process = Some(start(role("register")?).await?);
        let worker = start(role("worker")?).await?;
        let mut cluster = Self {
            register,
            gateways: Vec::new(),
            secret: secret.to_owned(),
            register_process,
            _worker: worker,
            data,
        };
        for _ in 0..gateways {
            cluster.add_gateway().await?;
        }
        Ok(cluster)
    }

    pub async fn add_gateway(&mut self) -> anyhow::Result<()> {
        let gateway = OriginalGateway { websocket: free_port()?, internal: free_port()?, process: None };
        self.gateways.push(gateway);
        self.start_gateway(self.gateways.len() - 1).await
    }

    /// Starts it where it was, and waits until it serves.
    pub async fn start_gateway(&mut self, index: usize) -> anyhow::Result<()> {
        let data = self.data.path().join(format!("gateway-{index}"));
        let mut command = role("gateway", self.register, &self.secret, data)?;
        let gateway = &mut self.gateways[index];
        command.env("WEBSOCKET", gateway.websocket.to_string());
        command.env("INTERNAL", gateway.internal.port().to_string());
        gateway.process = Some(start(command).await?);
        let websocket = gateway.websocket;
        // Its worker says who a client is once it is connected; a client that comes earlier is closed.
        eventually("a gateway serves", true, async || Ok(Client::connect(websocket).await.is_ok())).await
    }

    pub async fn start_register(&mut self) -> anyhow::Result<()> {
        let command = role("register", self.register, &self.secret, self.data.path().join("register"))?;
        self.register_process = Some(start(command).await?);
        Ok(())
    }

    pub fn kill_register(&mut self) {
        self.register_process = None;
    }
}

impl OriginalGateway {
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// The process that leads its group.
    pub fn leader(&self) -> Option<u32> {
        self.process.as_ref().map(ProcessGroup::leader)
    }
}

async fn start(command: Command) -> anyhow::Result<ProcessGroup> {
    Ok(ProcessGroup::start(command, "Start success").await?.0)
}

fn role(name: &str, register: SocketAddr, secret: &str, data: PathBuf) -> anyhow::Result<Command> {
    std::fs::create_dir_all(&data)?;
    // One that was killed has left it.
    let _ = std::fs::remove_file(data.join("pid"));
    let mut command = Command::new("php");
    command.arg(root().join("tests/php/gatewayworker/role.php")).arg("start");
    command.env("ROLE", name).env("REGISTER", register.to_string()).env("SECRET", secret);
    command.env("STACK_DATA", data);
    Ok(command)
}
