//! What the kernel tells of its sockets.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpStream;

/// Bytes that have arrived at the other end, on this machine, and that nobody there has read.
pub fn unread_by_peer(socket: &TcpStream) -> anyhow::Result<u64> {
    let (peer, own) = (table_form(socket.peer_addr()?)?, table_form(socket.local_addr()?)?);
    let table = std::fs::read_to_string("/proc/self/net/tcp")?;
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.get(1) == Some(&&*peer) && row.get(2) == Some(&&*own));
    // "tx_queue:rx_queue"
    let queues = row.as_deref().and_then(|row| row.get(4)?.split_once(':')).context("no such connection")?;
    Ok(u64::from_str_radix(queues.1, 16)?)
}

fn table_form(address: SocketAddr) -> anyhow::Result<String> {
    let SocketAddr::V4(address) = address else { anyhow::bail!("{address} is not IPv4") };
    Ok(format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port()))
}
