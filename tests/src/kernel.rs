//! A look at how much the other end of a connection has not read yet, by the kernel's table of sockets.

use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use nix::libc;
use socket2::{Protocol, Socket, Type};
use tokio::net::TcpStream;

/// Gives how many bytes have arrived at the other end of this connection, on this machine, and have not been read there.
pub fn unread_by_peer(socket: &TcpStream) -> anyhow::Result<u64> {
    let (peer, own) = (socket.peer_addr()?, socket.local_addr()?);
    // The table of all sockets takes many milliseconds to read, as the kernel looks through all the room that there is for them.
    match ask_for_unread(peer, own) {
        Ok(unread) => Ok(unread),
        Err(_) => look_up_unread(peer, own),
    }
}

/// Asks the kernel for the one socket that is bound to `here` and connected to `there`: by sock_diag(7), an `inet_diag_req_v2`.
fn ask_for_unread(here: SocketAddr, there: SocketAddr) -> anyhow::Result<u64> {
    const LENGTH: u32 = 72;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const LISTENING: u8 = 10;
    let (SocketAddr::V4(here), SocketAddr::V4(there)) = (here, there) else {
        anyhow::bail!("{here} is not IPv4")
    };
    let mut question = Vec::new();
    question.extend(LENGTH.to_ne_bytes());
    question.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    question.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    question.extend([0; 8]); // sequence number and port: there is only this one message
    question.extend([libc::AF_INET as u8, libc::IPPROTO_TCP as u8, 0, 0]); // no extensions, and padding
    question.extend(u32::MAX.to_ne_bytes()); // in any state
    question.extend(here.port().to_be_bytes());
    question.extend(there.port().to_be_bytes());
    for address in [here, there] {
        question.extend(address.ip().octets());
        question.extend([0; 12]); // the rest is of IPv6
    }
    question.extend(0_u32.to_ne_bytes()); // any interface
    question.extend([0xff; 8]); // no cookie

    let mut kernel =
        Socket::new(libc::AF_NETLINK.into(), Type::RAW, Some(Protocol::from(libc::NETLINK_SOCK_DIAG)))?;
    kernel.send(&question)?;
    // The answer is a header of 16 bytes and an `inet_diag_msg`, which has the state in its second byte, and what is not read at 56.
    let mut answer = [0; 512];
    let length = kernel.read(&mut answer)?;
    let answer = &answer[..length];
    let kind = answer.get(4..6).context("a short answer")?;
    anyhow::ensure!(kind == SOCK_DIAG_BY_FAMILY.to_ne_bytes(), "the kernel does not say");
    anyhow::ensure!(answer.get(17).is_some_and(|state| *state != LISTENING), "no such connection");
    let unread = answer.get(72..76).context("a short answer")?.try_into()?;
    Ok(u32::from_ne_bytes(unread).into())
}

/// Looks up the same in the table of all sockets.
fn look_up_unread(here: SocketAddr, there: SocketAddr) -> anyhow::Result<u64> {
    let addresses = format!(" {} {} ", table_form(here)?, table_form(there)?);
    let table = std::fs::read_to_string("/proc/thread-self/net/tcp")?;
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn both_ways_to_ask_say_the_same() -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut near = TcpStream::connect(listener.local_addr()?).await?;
        let (mut far, _) = listener.accept().await?;
        let (here, there) = (near.peer_addr()?, near.local_addr()?);
        near.write_all(b"hello").await?;
        assert_eq!(look_up_unread(here, there)?, 5);
        // Where the kernel can be asked.
        if let Ok(unread) = ask_for_unread(here, there) {
            assert_eq!(unread, 5);
        }
        assert_eq!(unread_by_peer(&near)?, 5);
        far.read_exact(&mut [0; 5]).await?;
        read_by_peer(&near).await
    }
}
