//! Peers that mean harm, by the thousand, while a crowd of honest clients is pushed to: every push arrives, what the server
//! keeps for the others is bounded, and afterwards nothing of them is left.
//!
//! Each prints how long the pushes took; `make adversaries` wants 50 ms for 99 of 100.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::{join_all, try_join_all};
use gateway_tests::{Client, Crowd, Rng, Server, soon};
use gateway_wire::token::{Claims, TokenKey};
use rlimit::Resource;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// They would be each other's adversaries.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
/// An attack that is over sooner comes again.
const LASTING: Duration = Duration::from_secs(3);
const MIB: u64 = 1 << 20;

async fn during(
    name: &str,
    flags: &[&str],
    attack: impl AsyncFn(&Server, &Crowd) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let server = Server::start_with(|command| {
        command.args(flags).env("GATEWAY_TOKEN_KEY", "a key").stdout(std::process::Stdio::null());
    })
    .await?;
    let crowd = Crowd::gather(&server).await?;
    let start = Instant::now();
    while start.elapsed() < LASTING {
        attack(&server, &crowd).await?;
    }
    crowd.leave(name, &server).await
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

#[tokio::test]
async fn handshakes_that_dribble() -> anyhow::Result<()> {
    during("10,000 handshakes that dribble", &["--handshake-timeout", "3"], async |server, crowd| {
        let mut sockets = in_batches(10_000, async |_| connect(server.websocket).await).await?;
        let start = Instant::now();
        for byte in REQUEST.iter().cycle().take_while(|_| start.elapsed() < Duration::from_secs(4)) {
            for socket in &mut sockets {
                // Those whose time is over have been closed.
                let _ = socket.write_all(&[*byte]).await;
            }
            ensure!(crowd.memory_beside(server)? < 200 * MIB);
        }
        soon("all to be closed", join_all(sockets.iter_mut().map(rest))).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn messages_byte_by_byte() -> anyhow::Result<()> {
    during("1,000 who write byte by byte", &[], async |server, crowd| {
        let mut sockets = in_batches(1000, async |_| established(server.websocket).await).await?;
        let stream =
            [frame(0x01, b"frag"), frame(0x89, b"ping"), frame(0x80, "mentiert ü".as_bytes())].concat();
        for byte in stream.iter().cycle().take(3 * stream.len()) {
            for socket in &mut sockets {
                socket.write_all(&[*byte]).await?;
            }
        }
        ensure!(crowd.memory_beside(server)? < 32 * MIB);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn half_closed_peers() -> anyhow::Result<()> {
    during("2,000 half-closed peers", &[], async |server, crowd| {
        let mut sockets = in_batches(2000, async |number| {
            let mut socket = match number % 2 {
                0 => established(server.websocket).await?,
                _ => connect(server.websocket).await?,
            };
            socket.shutdown().await?;
            Ok(socket)
        })
        .await?;
        ensure!(crowd.memory_beside(server)? < 64 * MIB);
        // Their other half is open; the server closes it.
        soon("all to be closed", join_all(sockets.iter_mut().map(rest))).await?;
        // Once is enough: the system remembers each for a minute.
        tokio::time::sleep(LASTING).await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn ping_floods() -> anyhow::Result<()> {
    during("20 ping floods, half of them unread", &[], async |server, crowd| {
        let flood = frame(0x89, &[b'x'; 125]).repeat(500);
        let floods = (0..20).map(async |number| {
            let mut socket = established(server.websocket).await?;
            let (mut reader, mut writer) = socket.split();
            let write = async { while writer.write_all(&flood).await.is_ok() {} };
            let read = async {
                let mut pongs = vec![0; 64 << 10];
                while number % 2 == 0 && reader.read(&mut pongs).await.is_ok_and(|length| length > 0) {}
                std::future::pending::<()>().await;
            };
            // Who reads nothing is closed for it, the others go on.
            let _ = tokio::time::timeout(Duration::from_secs(3), async {
                tokio::select! { () = write => {}, () = read => {} }
            })
            .await;
            anyhow::Ok(())
        });
        try_join_all(floods).await?;
        ensure!(crowd.memory_beside(server)? < 64 * MIB);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn giant_messages() -> anyhow::Result<()> {
    during("giant and fragmented messages", &[], async |server, crowd| {
        let almost = frame(0x02, &vec![b'x'; (MIB - 1) as usize]);
        let fragments = [frame(0x02, b""), frame(0x00, b"y").repeat(20_000)].concat();
        let attacks = (0..90).map(async |number: usize| {
            let mut socket = established(server.websocket).await?;
            match number % 3 {
                // A message of the longest kind, of which the last byte never comes.
                0 => drop(socket.write_all(&almost[..almost.len() - 1]).await),
                // One that says it has 2⁶² bytes.
                1 => {
                    socket
                        .write_all(
                            &[&[0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &almost].concat(),
                        )
                        .await
                        .ok();
                    ensure!(rest(&mut socket).await.starts_with(&[0x88]), "no close frame");
                }
                // Fragments without end, until they are too many.
                _ => while socket.write_all(&fragments).await.is_ok() {},
            }
            Ok(socket)
        });
        let _sockets = soon("the attacks", try_join_all(attacks)).await??;
        ensure!(crowd.memory_beside(server)? < 128 * MIB, "{} bytes", crowd.memory_beside(server)?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn frames_that_break_the_rules() -> anyhow::Result<()> {
    during("4,000 who break the protocol", &[], async |server, _| {
        let broken: [&[u8]; 5] = [
            &frame(0x81, b"\xff\xfe"),
            &frame(0x81, b"\xf0\x9f\x98")[..],
            b"\x81\x01x",
            &frame(0x83, b""),
            &[frame(0x01, b"a"), frame(0x01, b"b")].concat(),
        ];
        in_batches(4000, async |number| {
            let mut socket = established(server.websocket).await?;
            socket.write_all(broken[number % broken.len()]).await?;
            let close = rest(&mut socket).await;
            ensure!(close.starts_with(&[0x88]), "{close:?} is no close frame");
            Ok(())
        })
        .await
        .map(drop)
    })
    .await
}

#[tokio::test]
async fn storms_of_those_who_vanish() -> anyhow::Result<()> {
    during("10,000 who come and vanish", &[], async |server, _| {
        in_batches(10_000, async |number| {
            let mut socket = match number % 4 {
                0 => established(server.websocket).await?,
                _ => connect(server.websocket).await?,
            };
            match number % 4 {
                1 => socket.write_all(REQUEST).await?,
                2 => socket.write_all(&REQUEST[..number % REQUEST.len()]).await?,
                _ => {}
            }
            Ok(())
        })
        .await
        .map(drop)
    })
    .await
}

#[tokio::test]
async fn garbage_on_every_port() -> anyhow::Result<()> {
    during("4,000 who talk garbage", &["--handshake-timeout", "2"], async |server, crowd| {
        in_batches(4000, async |number| {
            let mut rng = Rng::new(number as u64);
            let garbage: Vec<u8> = (0..rng.below(3000)).map(|_| rng.draw() as u8).collect();
            let port = if number % 2 == 0 { server.websocket } else { server.register[0] };
            let mut socket = connect(port).await?;
            // What looks like the beginning of something sensible.
            let opening: &[u8] =
                [b"".as_slice(), b"\xc1GW\x01", b"{\"event\":", b"\0\0\0\x40", b"GET / HTTP/1.1\r\n"]
                    [number % 5];
            let _ = socket.write_all(&[opening, &garbage].concat()).await;
            soon("the end", rest(&mut socket)).await.map(drop)
        })
        .await?;
        ensure!(crowd.memory_beside(server)? < 64 * MIB);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn tokens_that_are_replayed_or_too_old() -> anyhow::Result<()> {
    let key = TokenKey::new(b"a key");
    let expires = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() + 600;
    let claims = Claims { uid: "victim".to_owned(), expires, ..Claims::default() };
    let once = key.mint(&Claims { once: Some("x".to_owned()), ..claims.clone() })?;
    let old = key.mint(&Claims { expires: expires - 700, ..claims })?;
    let forged = format!("{}x", &once[..once.len() - 1]);
    during("3,000 with bad tokens", &[], async |server, _| {
        // The one whose token it is.
        let path = |token: &str| format!("/?token={token}");
        let _owner = Client::shake_hands(server.websocket, &path(&once), &[]).await?;
        in_batches(3000, async |number| {
            let token = [&once, &old, &forged][number % 3];
            let mut socket = connect(server.websocket).await?;
            let request = String::from_utf8_lossy(REQUEST).replacen("/", &path(token), 1);
            socket.write_all(request.as_bytes()).await?;
            let answer = rest(&mut socket).await;
            ensure!(
                answer
                    .windows(4)
                    .any(|bytes| bytes[..2] == [0x88, 15] || bytes[2..] == 4401_u16.to_be_bytes())
            );
            ensure!(!answer.windows(6).any(|bytes| bytes == b"\"init\""));
            Ok(())
        })
        .await
        .map(drop)
    })
    .await
}

#[tokio::test]
async fn descriptors_run_out() -> anyhow::Result<()> {
    during("descriptors that run out", &["--handshake-timeout", "2"], async |server, _| {
        let limit = server.open_files()? as u64 + 50;
        rlimit::prlimit(server.pid()?.as_raw(), Resource::NOFILE, Some((limit, limit)), None)?;
        let mut sockets = in_batches(500, async |_| connect(server.websocket).await).await?;
        for _ in 0..3 {
            for socket in &mut sockets {
                let _ = socket.write_all(REQUEST).await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        drop(sockets);
        // There is room again.
        Client::connect(server.websocket).await?.leave().await
    })
    .await
}
