//! GatewayWorker's kinds of process, started from its sources.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process_group::ProcessGroup;
use crate::root;

/// What to start: tests/php/gatewayworker/stack.php says what each means.
pub(crate) struct Roles<'a> {
    /// Some of register, gateway and worker, separated by commas.
    pub(crate) names: &'a str,
    pub(crate) register: SocketAddr,
    pub(crate) secret: &'a str,
    /// What a gateway speaks.
    pub(crate) protocol: &'a str,
    /// Of a gateway, for clients and for workers.
    pub(crate) gateway: Option<(SocketAddr, SocketAddr)>,
    pub(crate) events: PathBuf,
    pub(crate) workers: usize,
    /// Settings of php.ini, `name=value` each.
    pub(crate) settings: &'a [String],
}

impl Roles<'_> {
    /// Starts them, with a folder for what they leave, and waits until they say that they run.
    pub(crate) async fn start(self, data: &Path) -> anyhow::Result<ProcessGroup> {
        std::fs::create_dir_all(data)?;
        // One that was killed has left it.
        let _ = std::fs::remove_file(data.join("pid"));
        let mut command = Command::new("php");
        command
            .args(self.settings.iter().flat_map(|setting| ["-d", setting]))
            .arg(root().join("tests/php/gatewayworker/stack.php"))
            .arg("start")
            .env("ROLES", self.names)
            .env("REGISTER", self.register.to_string())
            .env("SECRET", self.secret)
            .env("EVENTS", self.events)
            .env("WORKERS", self.workers.to_string())
            .env("STACK_DATA", data);
        if let Some((listen, internal)) = self.gateway {
            command
                .env("PROTOCOL", self.protocol)
                .env("LISTEN", listen.to_string())
                .env("INTERNAL", internal.port().to_string());
        }
        Ok(ProcessGroup::start(command, "Start success").await?.0)
    }
}

/// The handler of that name.
pub(crate) fn events(name: &str) -> PathBuf {
    root().join("tests/php/gatewayworker").join(name)
}
