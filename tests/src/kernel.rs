//! A look at how much the other end of a connection has not read yet, by the kernel's table of sockets.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpStream;

/// Gives how many bytes have arrived at the other end of this connection, on this machine, and have not been read there.
pub fn unread_by_peer(socket: &TcpStream) -> anyhow::Result<u64> {
    let addresses = format!(" {} {} ", table_form(socket.peer_addr()?)?, table_form(socket.local_addr()?)?);
    // Other tests may have left thousands of sockets in the table, so only the row that matches is taken apart.
    let table = std::fs::read_to_string("/proc/self/net/tcp")?;
    let mut rows = table.lines().filter_map(|row| row.split_once(&addresses));
    // Behind the addresses stand the state and "tx_queue:rx_queue".
    let queues = rows.next().and_then(|(_, rest)| rest.split_whitespace().nth(1)?.split_once(':'));
    Ok(u64::from_str_radix(queues.context("no such connection")?.1, 16)?)
}

/// Waits until the other end of this connection, on this machine, has read all that has arrived there.
pub async fn read_by_peer(socket: &TcpStream) -> anyhow::Result<()> {
    while unread_by_peer(socket)? > 0 {
        // Sleeping leaves the processor to the other end; a loop without it would take the processor away from it on a busy
        // machine.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn table_form(address: SocketAddr) -> anyhow::Result<String> {
    let SocketAddr::V4(address) = address else { anyhow::bail!("{address} is not IPv4") };
    Ok(format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port()))
}
