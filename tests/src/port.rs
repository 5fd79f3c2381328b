//! A free port, for programs that cannot choose one themselves.

use std::net::{SocketAddr, TcpListener};

pub fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
