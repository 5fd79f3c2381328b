//! Sockudo, a server of Pusher's protocol.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::contender::peers;
use crate::pusher::{APP_ID, APP_KEY, APP_SECRET};

/// The words with which Sockudo says that it is about to listen.
pub(crate) const READY: &str = "http server listening";

/// Finds Sockudo below the folder in SOCKUDO_PATH, or among the other servers.
pub(crate) fn find() -> Option<PathBuf> {
    let given = std::env::var_os("SOCKUDO_PATH").map(PathBuf::from);
    let folder = given.unwrap_or_else(|| peers().join("sockudo"));
    Some(folder.join("bin/sockudo")).filter(|binary| binary.exists())
}

/// Gives the command of a Sockudo that keeps everything in memory, without limits, metrics, and pings of its own.
pub(crate) fn command(binary: &Path, address: SocketAddr, folder: &Path) -> anyhow::Result<Command> {
    let file = folder.join("sockudo.toml");
    let text = format!(
        "activity_timeout = 3600
        queue.driver = 'memory'
        metrics.enabled = false
        rate_limiter.enabled = false

        [[app_manager.array.apps]]
        id = '{APP_ID}'
        key = '{APP_KEY}'
        secret = '{APP_SECRET}'
        enabled = true
        policy.limits.max_connections = 0
        "
    );
    std::fs::write(&file, text)?;
    let mut command = Command::new(binary);
    command.arg("--config").arg(file).current_dir(folder);
    // The address stands here because these variables would be preferred to the file.
    command.env("HOST", address.ip().to_string()).env("PORT", address.port().to_string());
    // Nothing of its log is wanted but the line that says where it listens.
    command.env("RUST_LOG", "off,sockudo::bootstrap::runtime=info");
    Ok(command)
}
