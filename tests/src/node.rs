//! Node.js, where this machine has it.

use std::process::Stdio;

use tokio::process::Command;

use crate::root;

/// Why a test is skipped for want of what this gives.
pub const NO_NODE: &str =
    "node is missing, or it has no WebSocket and there is no package ws (Debian package node-ws)";

/// Gives the command of a Node.js that has websockets: its own, by a flag before version 22, or those of the package ws.
pub async fn node_with_websocket() -> Option<Command> {
    for flags in [&["--experimental-websocket"][..], &[]] {
        let node = || {
            let mut command = Command::new("node");
            command.env("NODE_PATH", root().join("target/clients/node_modules"));
            command.args(flags).kill_on_drop(true);
            command
        };
        let mut look = node();
        look.args(["-e", "globalThis.WebSocket || require('ws')"]).stderr(Stdio::null());
        if look.status().await.is_ok_and(|status| status.success()) {
            return Some(node());
        }
    }
    None
}
