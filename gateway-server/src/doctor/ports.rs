//! The ports: free where no server runs, and reached where one does.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use rustix::fs::{Access, access};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::finding::Finding;
use super::reach::{PATIENCE, reachable};
use super::running::Running;
use crate::config::Settings;
use crate::net::bind_tcp;
use crate::system::listeners;

/// A port, and the setting that names it.
struct Port {
    setting: String,
    address: SocketAddr,
    is_shared: bool,
}

pub(super) async fn look(settings: &Settings, running: &Running) -> Vec<Finding> {
    let mut findings = Vec::new();
    for port in ports(settings) {
        findings.push(if running.is_there() { reach(&port).await } else { bind(&port) });
    }
    if let Some(path) = &settings.register_unix {
        findings.push(if running.is_there() { reach_unix(path).await } else { has_place(path) });
    }
    findings
}

fn ports(settings: &Settings) -> Vec<Port> {
    let clients = settings.listeners.iter().enumerate().map(|(index, listener)| Port {
        setting: if index == 0 { "websocket".to_owned() } else { format!("listener {}", listener.protocol) },
        address: listener.address,
        is_shared: settings.reuse_port,
    });
    let own = |setting: &str, address| Port { setting: setting.to_owned(), address, is_shared: false };
    let register = settings.register.iter().map(|address| own("register", *address));
    clients.chain(register).chain(settings.operations.map(|address| own("operations", address))).collect()
}

fn bind(port: &Port) -> Finding {
    let Port { setting, address, is_shared } = port;
    let Err(error) = bind_tcp(*address, *is_shared, setting) else {
        return Finding::ok("ports", format!("{address} ({setting}) is free"));
    };
    let reason = error.root_cause().downcast_ref::<io::Error>().map(io::Error::kind);
    match reason {
        Some(io::ErrorKind::AddrInUse) => {
            let who = listeners::who(address.port()).unwrap_or_else(|| "another program".to_owned());
            let found = format!("{address} ({setting}) is taken by {who}");
            Finding::mend("ports", found, format!("stop that, or give {setting} another address"))
        }
        Some(io::ErrorKind::AddrNotAvailable) => Finding::mend(
            "ports",
            format!("{address} ({setting}) is no address of this machine"),
            format!("give {setting} one that `ip address` lists, or 0.0.0.0 for all"),
        ),
        Some(io::ErrorKind::PermissionDenied) => Finding::mend(
            "ports",
            format!("this user may not listen on {address} ({setting})"),
            "take a port above 1023, or permit it: AmbientCapabilities=CAP_NET_BIND_SERVICE in systemd",
        ),
        _ => Finding::mend("ports", format!("{error:#}"), format!("give {setting} another address")),
    }
}

async fn reach(port: &Port) -> Finding {
    let Port { setting, address, .. } = port;
    if address.port() == 0 {
        return Finding::skipped("ports", format!("{setting} is any free port, which only its server knows"));
    }
    let found = match timeout(PATIENCE, TcpStream::connect(reachable(*address))).await {
        Ok(Ok(_)) => return Finding::ok("ports", format!("{address} ({setting}) accepts connections")),
        Ok(Err(error)) => format!("{address} ({setting}): {error}"),
        Err(_) => format!("{address} ({setting}) accepts nothing within {PATIENCE:?}"),
    };
    let advice = "see whether the server that runs has these settings, and whether a firewall holds it up";
    Finding::mend("ports", found, advice)
}

async fn reach_unix(path: &Path) -> Finding {
    let name = path.display();
    let found = match timeout(PATIENCE, UnixStream::connect(path)).await {
        Ok(Ok(_)) => return Finding::ok("ports", format!("{name} (register_unix) accepts connections")),
        Ok(Err(error)) => format!("{name} (register_unix): {error}"),
        Err(_) => format!("{name} (register_unix) accepts nothing within {PATIENCE:?}"),
    };
    Finding::mend("ports", found, "see whether the server that runs has this path, and who may use it")
}

/// Whether a unix socket can be made there.
fn has_place(path: &Path) -> Finding {
    let name = path.display();
    if path.symlink_metadata().is_ok_and(|there| !there.file_type().is_socket()) {
        let found = format!("{name} (register_unix) is there, and is no socket");
        return Finding::mend("ports", found, "remove it, or give register_unix another path");
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::ok("ports", format!("{name} (register_unix) can be made")),
        Err(error) => Finding::mend(
            "ports",
            format!("{name} (register_unix) cannot be made in {}: {error}", folder.display()),
            "make the folder, and have it belong to the server's user",
        ),
    }
}
