//! Real BusinessWorker processes of GatewayWorker, on a server of ours.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::process_group::ProcessGroup;
use crate::root;

/// Stopped when dropped.
pub struct BusinessWorkers {
    _processes: ProcessGroup,
    data: tempfile::TempDir,
}

impl BusinessWorkers {
    /// Starts so many, which handle events as tests/php/gatewayworker/Conversation.php says.
    pub async fn start(register: SocketAddr, count: usize, secret: &str) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let mut command = Command::new("php");
        command
            .arg(root().join("tests/php/gatewayworker/workers.php"))
            .arg("start")
            .env("REGISTER", register.to_string())
            .env("WORKERS", count.to_string())
            .env("SECRET_KEY", secret)
            .env("STACK_DATA", data.path());
        let (processes, _) = ProcessGroup::start(command, "Start success").await?;
        Ok(Self { _processes: processes, data })
    }

    /// What they were told, a line an event.
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
