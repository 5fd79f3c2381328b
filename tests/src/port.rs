//! A free port, for programs that cannot choose one themselves, or that are to be found where they were before.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

use anyhow::Context as _;

/// The ports that are tried. They are below those that the system gives to outgoing connections, of which any could have the port by the time
/// that its program starts, or starts again.
const PORTS: Range<u16> = 10_000..32_000;
/// How many of them are tried.
const TRIES: usize = 1000;

pub fn free_port() -> anyhow::Result<SocketAddr> {
    for _ in 0..TRIES {
        let port = PORTS.start + (getrandom::u32()? % u32::from(PORTS.end - PORTS.start)) as u16;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener.local_addr().context("a free port");
        }
    }
    anyhow::bail!("{TRIES} ports are in use")
}
