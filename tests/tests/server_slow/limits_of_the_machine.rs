//! The machine runs out of descriptors or memory: the server goes on with what it has.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use gateway_tests::{Client, PhpPeer, Server, eventually, skip, soon};
use gateway_wire::bridge::{AnswerValue, PREFACE};
use rlimit::Resource;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

const MIB: u64 = 1 << 20;
/// The bytes of memory that docs/operations.md calls enough.
const LITTLE: u64 = 128 * MIB;

#[tokio::test]
async fn without_descriptors_accepting_pauses() -> anyhow::Result<()> {
    const PLACES: i64 = 10;
    let mut server = Server::start(&["--ping-interval", "0"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let limit = server.open_files()? as u64 + PLACES as u64;
    rlimit::prlimit(server.pid()?.as_raw(), Resource::NOFILE, Some((limit, limit)), None)?;

    let mut clients = Vec::new();
    for _ in 0..PLACES {
        clients.push(Client::connect(server.websocket).await?);
    }
    // These are more clients than the limit allows: the kernel holds them back, and the server says so.
    let waiting: Vec<_> = (0..PLACES).map(|_| tokio::spawn(Client::connect(server.websocket))).collect();
    server.logs("cannot accept connections for a moment").await?;
    // The server may have had a few descriptors open for a moment only, so there may be some more clients than places.
    let AnswerValue::Int(count) = php.count().await? else { anyhow::bail!("no count") };
    assert!((PLACES..2 * PLACES).contains(&count), "{count} clients are in");

    // The clients that are connected are served, and the server does not spin.
    let before = server.cpu_ticks()?;
    for round in 0..20 {
        php.send_to_all(&round.to_string()).await?;
        for client in &mut clients {
            assert_eq!(client.text().await?, round.to_string());
        }
        // The test measures CPU time over a span of real time, so it has to sleep.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let spent = server.cpu_ticks()? - before;
    assert!(spent < 50, "{spent} hundredths of a second of CPU in one");

    // Each client that leaves makes room for one that waits.
    for client in clients {
        client.leave().await?;
    }
    for client in waiting {
        client.await??.leave().await?;
    }
    eventually("all have left", AnswerValue::Int(0), async || php.count().await).await?;
    drop(soon("connecting", TcpStream::connect(server.websocket)).await??);
    Ok(())
}

/// Makes the process call `act` before it becomes the server.
#[allow(unsafe_code)]
fn beforehand(command: &mut Command, act: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    // SAFETY: the callers' functions make only a few system calls.
    unsafe {
        command.pre_exec(act);
    }
}

/// Starts a server whose address space is limited, as by `ulimit -v`.
async fn confined(flags: &[&str]) -> anyhow::Result<Server> {
    Server::start_with(|command| {
        command.args(flags);
        beforehand(command, || Resource::AS.set(LITTLE, LITTLE));
    })
    .await
}

/// Opens a websocket, and reads the `init` message.
async fn established(address: SocketAddr) -> anyhow::Result<TcpStream> {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let mut socket = TcpStream::connect(address).await?;
    socket.set_zero_linger()?;
    socket.write_all(REQUEST).await?;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\"}") {
        anyhow::ensure!(socket.read_buf(&mut seen).await? > 0, "it was not let in");
    }
    Ok(socket)
}

/// A frame's header with a length in 8 bytes and a mask of zeros.
fn header(first: u8, length: usize) -> Vec<u8> {
    [&[first, 0xff][..], &(length as u64).to_be_bytes(), &[0; 4]].concat()
}

/// Does everything at once that makes a server take memory. An attacker that the server closes or does not let in has done
/// its part.
async fn attack(server: &Server) {
    const WHOLE: usize = 1 << 20;
    // The first message lacks its last bytes; the second one is compressed zeros, which become a thousand times as many
    // bytes.
    let unfinished = [header(0x82, WHOLE), vec![b'x'; WHOLE - 100]].concat();
    let zeros = deflated_zeros(WHOLE);
    let bombs = [header(0xc2, zeros.len()), zeros].concat().repeat(2);
    let senders = (0..120).map(async |number: usize| {
        let mut socket = established(server.websocket).await.ok()?;
        let bytes = if number.is_multiple_of(3) { &bombs } else { &unfinished };
        let _ = timeout(Duration::from_secs(5), socket.write_all(bytes)).await;
        Some(socket)
    });
    let call = [&(15_u32 << 20).to_be_bytes()[..], &vec![0x93; 14 << 20]].concat();
    let callers = (0..8).map(async |_| {
        let mut php = PhpPeer::connect(server.register[0]).await.ok()?;
        let _ = timeout(Duration::from_secs(5), php.write(&call)).await;
        Some(php)
    });
    let half_login = [&PREFACE[..], &[0, 0, 2, 0, 0x93]].concat();
    let logins = (0..300).map(async |_| {
        let mut socket = TcpStream::connect(server.register[0]).await.ok()?;
        let _ = socket.write_all(&half_login).await;
        Some(socket)
    });
    let pushes = async {
        let deaf = join_all((0..30).map(|_| established(server.websocket))).await;
        for _ in 0..5 {
            // A connection may be refused, or closed for its size; then the next one is tried.
            let Ok(mut php) = PhpPeer::connect(server.register[0]).await else { continue };
            for _ in 0..10 {
                let _ = php.send_to_all(&"p".repeat(2 << 20)).await;
                let _ = php.reply().await;
            }
        }
        deaf
    };
    tokio::join!(join_all(senders), join_all(callers), join_all(logins), pushes);
}

fn deflated_zeros(length: usize) -> Vec<u8> {
    use flate2::{Compress, Compression, FlushCompress};
    let mut out = Vec::with_capacity(length);
    let _ = Compress::new(Compression::best(), false).compress_vec(
        &vec![0; length],
        &mut out,
        FlushCompress::Sync,
    );
    out.truncate(out.len().saturating_sub(4));
    out
}

/// Checks that a new client is accepted and gets a push, after some time at the latest.
async fn serves(server: &Server) -> anyhow::Result<()> {
    eventually("an honest client is served", true, async || {
        let exchange = async {
            let mut php = PhpPeer::connect(server.register[0]).await?;
            let mut client = Client::connect(server.websocket).await?;
            php.bind(client.id, "honest").await?;
            php.send_to_uid("honest", "still there").await?;
            anyhow::ensure!(client.text().await? == "still there");
            client.leave().await
        };
        Ok(exchange.await.inspect_err(|error| eprintln!("not yet: {error:#}")).is_ok())
    })
    .await
}

/// Checks that the server serves after each of two attacks, and in the end stops when it is told to. `meanwhile` looks at the
/// server before the stop.
async fn endures(
    mut server: Server,
    meanwhile: impl AsyncFnOnce(&mut Server) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for _ in 0..2 {
        attack(&server).await;
        serves(&server).await?;
    }
    meanwhile(&mut server).await?;
    server.signal(nix::sys::signal::Signal::SIGTERM)?;
    assert!(server.exit().await?.success());
    Ok(())
}

#[tokio::test]
async fn with_little_memory_the_limits_are_a_share_of_it() -> anyhow::Result<()> {
    endures(confined(&["--deflate"]).await?, async |_| Ok(())).await
}

#[tokio::test]
async fn without_memory_those_who_want_it_are_given_up() -> anyhow::Result<()> {
    // These limits are far more than the memory that there is, so the limits do not help.
    let much = (64 * LITTLE).to_string();
    let server = confined(&[
        "--deflate",
        "--max-unfinished-bytes",
        &much,
        "--max-outbox-bytes",
        &much,
        "--outbox-bytes",
        "67108864",
        "--operations",
        "127.0.0.1:0",
    ])
    .await?;
    endures(server, async |server| server.logs("gave up a connection for want of memory").await.map(drop))
        .await
}

/// A cgroup that is removed when this is dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes a cgroup with so many bytes of memory, if this machine permits it.
    fn with_memory(bytes: u64) -> io::Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("gateway-test-{}", std::process::id());
        // The paths are those of cgroups version 2, or of version 1.
        let (parent, file) = match root.join("cgroup.controllers").exists() {
            true => (root.to_owned(), "memory.max"),
            false => (root.join("memory"), "memory.limit_in_bytes"),
        };
        let folder = parent.join(name);
        std::fs::create_dir(&folder)?;
        let cgroup = Self(folder);
        std::fs::write(cgroup.0.join(file), bytes.to_string())?;
        Ok(cgroup)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The server has ended by now, but the kernel may not have noticed yet.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[tokio::test]
async fn in_a_small_cgroup_the_limits_are_a_share_of_it() -> anyhow::Result<()> {
    let cgroup = match Cgroup::with_memory(LITTLE) {
        Ok(cgroup) => cgroup,
        Err(error) => {
            skip("a server in a small cgroup", &format!("this machine lets nobody make one: {error}"));
            return Ok(());
        }
    };
    let processes = cgroup.0.join("cgroup.procs");
    let server = Server::start_with(|command| {
        command.arg("--deflate");
        beforehand(command, move || std::fs::write(&processes, "0"));
    })
    .await?;
    endures(server, async |_| Ok(())).await
}
