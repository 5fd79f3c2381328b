//! Caddy as a proxy with TLS in front of our server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use gateway_tests::TestCertificate;

use crate::contender::peers;

/// The words with which Caddy says that it serves.
pub(crate) const READY: &str = "serving initial configuration";

/// Finds Caddy below the folder in CADDY_PATH, among the other servers, or installed.
pub(crate) fn find() -> Option<PathBuf> {
    let given = std::env::var_os("CADDY_PATH").map(PathBuf::from);
    let folders = given.into_iter().chain([peers().join("caddy"), "/".into()]);
    folders.map(|folder| folder.join("usr/bin/caddy")).find(|binary| binary.exists())
}

/// Gives the command of a Caddy that speaks TLS and hands everything to the server at `behind`.
pub(crate) fn in_front(
    binary: &Path,
    address: SocketAddr,
    behind: SocketAddr,
    certificate: &TestCertificate,
    folder: &Path,
) -> anyhow::Result<Command> {
    let file = folder.join("Caddyfile");
    let (certificate, key) = (certificate.certificate.display(), certificate.key.display());
    let text = format!(
        "{{
            admin off
            auto_https off
        }}
        https://localhost:{port}, https://{host}:{port} {{
            bind {host}
            tls {certificate} {key}
            reverse_proxy {behind}
        }}\n",
        port = address.port(),
        host = address.ip(),
    );
    std::fs::write(&file, text)?;
    let mut command = Command::new(binary);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    // Caddy keeps what it has to remember in the folder of its user.
    command.env("HOME", folder).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
    Ok(command)
}
