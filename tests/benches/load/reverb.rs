//! Reverb, Laravel's server of Pusher's protocol, in an application of Laravel.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::pusher::{APP_ID, APP_KEY, APP_SECRET};

/// The words with which Reverb says that it listens.
pub(crate) const READY: &str = "Starting server on";

/// Finds the application in REVERB_PATH.
pub(crate) fn find() -> Option<PathBuf> {
    std::env::var_os("REVERB_PATH").map(PathBuf::from).filter(|folder| folder.join("artisan").is_file())
}

/// Gives the command of a Reverb without limits, scaling, and pings of its own, whatever the application's `.env` says.
pub(crate) fn command(application: &Path, address: SocketAddr, extension: &Path) -> Command {
    let mut command = Command::new("php");
    command.arg("-d").arg(format!("extension={}", extension.display())).args(["-d", "memory_limit=-1"]);
    command.args(["artisan", "reverb:start"]);
    command.arg(format!("--host={}", address.ip())).arg(format!("--port={}", address.port()));
    command.current_dir(application);
    command.envs([
        ("REVERB_APP_ID", APP_ID),
        ("REVERB_APP_KEY", APP_KEY),
        ("REVERB_APP_SECRET", APP_SECRET),
        ("REVERB_APP_PING_INTERVAL", "3600"),
        ("REVERB_APP_ACTIVITY_TIMEOUT", "3600"),
        ("REVERB_APP_RATE_LIMITING_ENABLED", "false"),
        ("REVERB_SCALING_ENABLED", "false"),
        ("REVERB_SERVER_PATH", ""),
        // Reverb looks into the cache now and then for the order to start again.
        ("CACHE_STORE", "array"),
    ]);
    command
}
