//! Thousands of attackers, while a crowd of honest clients gets pushes: every push arrives, the memory that the server uses
//! for the attackers is bounded, and nothing of theirs is left afterwards.
//!
//! Each test prints how long pushes took before the attack and during it. `make adversaries` asks that 99 of 100 pushes take
//! at most twice as long as before. An attack also costs the machine, which attackers, crowd and server share here. So it
//! first goes to another server on the same machine, and the times of that while count as "before", too.

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

/// Only one test runs at a time: otherwise each would slow the other one's pushes.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
/// An attack that is over sooner is repeated until this time has passed.
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
            again_and_again(&other, &before, &attack).await
        })
        .await?;
    again_and_again(&server, crowd.footprint(), &attack).await?;
    crowd.leave(name, &server).await
}

async fn attackable(flags: &[&str]) -> anyhow::Result<Server> {
    Server::start_with(|command| {
        command.args(flags).env("GATEWAY_TOKEN_KEY", "a key").stdout(std::process::Stdio::null());
    })
    .await
}

/// Repeats an attack. Each begins when the server has nothing left of the one before, which would count as memory of both.
async fn again_and_again(
    server: &Server,
    before: &Footprint,
    attack: &impl AsyncFn(&Server, &Footprint) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let start = Instant::now();
    while start.elapsed() < LASTING {
        attack(server, before).await?;
        before.attackers_go(server).await?;
    }
    Ok(())
}

/// Lowers the priority of this thread, from which attacks run: an attack must cost the server's time, not that of the machine
/// that both share.
fn yield_to_server() {
    let thread = nix::unistd::gettid().as_raw();
    // SAFETY: it takes three numbers, and touches no memory.
    #[allow(unsafe_code)]
    let _ = unsafe { nix::libc::setpriority(nix::libc::PRIO_PROCESS, thread as u32, 19) };
}

/// Makes many at once, but never more at a time than fit in a listener's backlog.
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
    // Closing sends a reset: the kernel would remember thousands of orderly closed connections for a minute, and slow other
    // tests down.
    socket.set_zero_linger()?;
    Ok(socket)
}

/// Opens a websocket, and reads the `init` message.
async fn established(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut socket = connect(address).await?;
    socket.write_all(REQUEST).await?;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\"}") {
        ensure!(socket.read_buf(&mut seen).await? > 0, "{} and the end", String::from_utf8_lossy(&seen));
    }
    Ok(socket)
}

/// Reads to the connection's end, whether it is orderly or a reset.
async fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    rest
}

/// A client's frame that is masked with zeros, which leave the payload as it is.
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
