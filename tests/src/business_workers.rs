//! Real BusinessWorker processes of GatewayWorker that are connected to our server.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::original_role::{Roles, events};
use crate::process_group::ProcessGroup;

/// The processes are stopped when this is dropped.
pub struct BusinessWorkers {
    _processes: ProcessGroup,
    data: tempfile::TempDir,
}

impl BusinessWorkers {
    /// Starts `count` workers that handle events by tests/php/gatewayworker/Conversation.php.
    pub async fn start(register: SocketAddr, count: usize, secret: &str) -> anyhow::Result<Self> {
        Self::start_with(events("Conversation.php"), register, count, secret).await
    }

    /// Starts `count` workers that handle events by the file `events`.
    pub async fn start_with(
        events: PathBuf,
        register: SocketAddr,
        count: usize,
        secret: &str,
    ) -> anyhow::Result<Self> {
        Self::start_in(&[], events, register, count, secret).await
    }

    /// Starts `count` workers in a PHP with these settings of php.ini, each as `name=value`.
    pub async fn start_in(
        settings: &[String],
        events: PathBuf,
        register: SocketAddr,
        count: usize,
        secret: &str,
    ) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let roles = Roles {
            names: "worker",
            register,
            secret,
            protocol: "",
            gateway: None,
            events,
            workers: count,
            settings,
        };
        let processes = roles.start(data.path()).await?;
        Ok(Self { _processes: processes, data })
    }

    /// Gives what the workers wrote down about the events they were told: one line for each event.
    pub fn diary(&self) -> anyhow::Result<Vec<String>> {
        match std::fs::read_to_string(self.diary_path()) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    fn diary_path(&self) -> PathBuf {
        self.data.path().join("diary")
    }
}
