//! GatewayWorker's kinds of process (register, gateway, worker), started from its sources.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process_group::ProcessGroup;
use crate::root;

/// The processes to start, and their settings; tests/php/gatewayworker/stack.php says what each field means.
pub(crate) struct Roles<'a> {
    /// Any of `register`, `gateway` and `worker`, separated by commas.
    pub(crate) names: &'a str,
    pub(crate) register: SocketAddr,
    pub(crate) secret: &'a str,
    /// The protocol that a gateway speaks with clients.
    pub(crate) protocol: &'a str,
    /// A gateway's addresses for clients and for workers.
    pub(crate) gateway: Option<(SocketAddr, SocketAddr)>,
    pub(crate) events: PathBuf,
    pub(crate) workers: usize,
    /// Settings of php.ini, each as `name=value`.
    pub(crate) settings: &'a [String],
}

impl Roles<'_> {
    /// Starts the processes with `data` as the folder of their pid file and logs, and waits until they say that they run.
    pub(crate) async fn start(self, data: &Path) -> anyhow::Result<ProcessGroup> {
        std::fs::create_dir_all(data)?;
        // A process that was killed leaves its pid file behind, and the next one would refuse to start.
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

/// The path of an event handler of tests/php/gatewayworker.
pub(crate) fn events(name: &str) -> PathBuf {
    root().join("tests/php/gatewayworker").join(name)
}
