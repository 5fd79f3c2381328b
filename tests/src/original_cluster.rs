//! The original stack in parts: a register, gateways and a worker, each of which a test can stop and start alone.

use std::net::SocketAddr;
use std::path::Path;

use crate::original_role::{Roles, events};
use crate::process_group::ProcessGroup;
use crate::{Client, eventually, free_port};

/// The processes are stopped when this is dropped.
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
    /// Starts all parts and waits until every gateway serves.
    pub async fn start(gateways: usize, secret: &str) -> anyhow::Result<Self> {
        let register = free_port()?;
        let data = tempfile::tempdir()?;
        let register_process = Some(start("register", register, secret, None, data.path()).await?);
        let worker = start("worker", register, secret, None, data.path()).await?;
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

    /// Starts a gateway at the address where it was before, and waits until it serves.
    pub async fn start_gateway(&mut self, index: usize) -> anyhow::Result<()> {
        let data = self.data.path().join(index.to_string());
        let gateway = &mut self.gateways[index];
        let addresses = Some((gateway.websocket, gateway.internal));
        gateway.process = Some(start("gateway", self.register, &self.secret, addresses, &data).await?);
        let websocket = gateway.websocket;
        // The worker tells each client its client id once it is connected to this gateway; the gateway closes a client that
        // comes earlier.
        eventually("a gateway serves", true, async || Ok(Client::connect(websocket).await.is_ok())).await
    }

    pub async fn start_register(&mut self) -> anyhow::Result<()> {
        let process = start("register", self.register, &self.secret, None, self.data.path()).await?;
        self.register_process = Some(process);
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

    /// Gives the pid of the process that leads the gateway's process group.
    pub fn leader(&self) -> Option<u32> {
        self.process.as_ref().map(ProcessGroup::leader)
    }
}

/// Starts one kind of process, with a folder of its own below `data`.
async fn start(
    name: &str,
    register: SocketAddr,
    secret: &str,
    gateway: Option<(SocketAddr, SocketAddr)>,
    data: &Path,
) -> anyhow::Result<ProcessGroup> {
    let roles = Roles {
        names: name,
        register,
        secret,
        protocol: "websocket",
        gateway,
        events: events("Events.php"),
        workers: 1,
        settings: &[],
    };
    roles.start(&data.join(name)).await
}
