//! Peers that open connections and never finish what they begin, or vanish in the middle.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::join_all;
use gateway_tests::{Client, Rng, soon};
use rlimit::Resource;
use tokio::io::AsyncWriteExt as _;

use super::{LASTING, MIB, REQUEST, connect, during, established, in_batches, rest};

#[tokio::test]
async fn handshakes_that_dribble() -> anyhow::Result<()> {
    during("10,000 handshakes that dribble", &["--handshake-timeout", "3"], async |server, before| {
        let mut sockets = in_batches(10_000, async |_| connect(server.websocket).await).await?;
        let start = Instant::now();
        for byte in REQUEST.iter().cycle().take_while(|_| start.elapsed() < Duration::from_secs(4)) {
            for socket in &mut sockets {
                // A write may fail: the server closes the connections whose time is over.
                let _ = socket.write_all(&[*byte]).await;
            }
            ensure!(before.memory_beside(server)? < 200 * MIB);
        }
        soon("all to be closed", join_all(sockets.iter_mut().map(rest))).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn half_closed_peers() -> anyhow::Result<()> {
    during("2,000 half-closed peers", &[], async |server, before| {
        let mut sockets = in_batches(2000, async |number| {
            let mut socket = match number % 2 {
                0 => established(server.websocket).await?,
                _ => connect(server.websocket).await?,
            };
            socket.shutdown().await?;
            Ok(socket)
        })
        .await?;
        ensure!(before.memory_beside(server)? < 64 * MIB);
        // The peers still read; it is the server that closes the connections.
        soon("all to be closed", join_all(sockets.iter_mut().map(rest))).await?;
        // The attack lasts long enough that it is not repeated: the kernel remembers each of these connections for a minute.
        tokio::time::sleep(LASTING).await;
        Ok(())
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
    during("4,000 who talk garbage", &["--handshake-timeout", "2"], async |server, before| {
        in_batches(4000, async |number| {
            let mut rng = Rng::new(number as u64);
            let garbage: Vec<u8> = (0..rng.below(3000)).map(|_| rng.draw() as u8).collect();
            let port = if number % 2 == 0 { server.websocket } else { server.register[0] };
            let mut socket = connect(port).await?;
            // The bytes begin like something sensible.
            let opening: &[u8] =
                [b"".as_slice(), b"\xc1GW\x01", b"{\"event\":", b"\0\0\0\x40", b"GET / HTTP/1.1\r\n"]
                    [number % 5];
            let _ = socket.write_all(&[opening, &garbage].concat()).await;
            soon("the end", rest(&mut socket)).await.map(drop)
        })
        .await?;
        ensure!(before.memory_beside(server)? < 64 * MIB);
        Ok(())
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
        // The server has room again for an honest client.
        Client::connect(server.websocket).await?.leave().await
    })
    .await
}
