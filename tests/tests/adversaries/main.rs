//! Peers that mean harm, by the thousand, while a crowd of honest clients is pushed to: every push arrives, what the server
//! keeps for the others is bounded, and afterwards nothing of them is left.
//!
//! Each prints how long the pushes took before the attack and during it; `make adversaries` wants 99 of 100 pushes to take at
//! most twice as long as before. An attack costs the machine as well, which attackers, crowd and server share here; so it first goes
//! to another server on the same machine, and what pushes take meanwhile counts as before, too.

mod handshakes;
mod memory;
mod messages;
mod ports;
mod tokens;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::try_join_all;
use gateway_tests::{Crowd, Footprint, Server, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// Tests that ran beside each other would be each other's adversaries.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
/// An attack that is over sooner comes again.
const LASTING: Duration = Duration::from_secs(3);
const MIB: u64 = 1 << 20;

async fn during(
    name: &str,
    flags: &[&str],
    attack: impl AsyncFn(&Server, &Footprint) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let server = attackable(flags).await?;
    let mut crowd = Crowd::gather(&server).await?;
    yield_to_server();
    crowd
        .await_attack(LASTING, async {
            let other = attackable(flags).await?;
            let before = Footprint::of(&other)?;
            again_and_again(async || attack(&other, &before).await).await
        })
        .await?;
    again_and_again(async || attack(&server, crowd.footprint()).await).await?;
    crowd.leave(name, &server).await
}

async fn attackable(flags: &[&str]) -> anyhow::Result<Server> {
    Server::start_with(|command| {
        command.args(flags).env("GATEWAY_TOKEN_KEY", "a key").stdout(std::process::Stdio::null());
    })
    .await
}

async fn again_and_again(attack: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let start = Instant::now();
    while start.elapsed() < LASTING {
        attack().await?;
    }
    Ok(())
}

/// Lowers the priority of this thread, from which attacks run: an attack is to cost the server's time, not that of the machine
/// that both of them share.
fn yield_to_server() {
    let thread = nix::unistd::gettid().as_raw();
    // SAFETY: it takes three numbers, and touches no memory.
    #[allow(unsafe_code)]
    let _ = unsafe { nix::libc::setpriority(nix::libc::PRIO_PROCESS, thread as u32, 19) };
}

/// Many at once, but not more than a backlog takes.
async fn in_batches<T>(
    count: usize,
    make: impl AsyncFn(usize) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let mut all = Vec::with_capacity(count);
    for first in (0..count).step_by(250) {
        all.extend(
            soon("a batch", try_join_all((first..count.min(first + 250)).map(|number| make(number))))
                .await??,
        );
    }
    Ok(all)
}

async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    // A close is a reset: thousands of connections that the system remembers for a minute would slow other tests down.
    socket.set_zero_linger()?;
    Ok(socket)
}

/// A websocket that has read what greets it.
async fn established(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut socket = connect(address).await?;
    socket.write_all(REQUEST).await?;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\"}") {
        ensure!(socket.read_buf(&mut seen).await? > 0, "{} and the end", String::from_utf8_lossy(&seen));
    }
    Ok(socket)
}

/// Reads to the end, however it comes.
async fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    rest
}

/// Masked by zeros, which changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..=125 => frame.push(0x80 | length as u8),
        length @ ..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
