//! For programs that cannot pick a port themselves.

use std::net::{SocketAddr, TcpListener};

pub fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
