//! Peers that occupy the places and the memory of a port, with the secret and without it.

use std::time::Duration;

use anyhow::ensure;
use futures_util::future::try_join_all;
use gateway_tests::{Client, PhpPeer, eventually, soon};
use gateway_wire::bridge::{Call, PREFACE, Query, Reply, Request};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::{MIB, connect, during, in_batches};

#[tokio::test]
async fn handshakes_that_stand_still() -> anyhow::Result<()> {
    let flags = ["--handshake-timeout", "120", "--max-handshakes", "2000"];
    during("3,000 handshakes that stand still", &flags, async |server, _| {
        let _idle = in_batches(1000, async |_| connect(server.websocket).await).await?;
        let _begun = in_batches(2000, async |_| {
            let mut socket = connect(server.websocket).await?;
            socket.write_all(b"GET / HTTP/1.1\r\n").await?;
            Ok(socket)
        })
        .await?;
        for _ in 0..20 {
            soon("a newcomer", Client::connect(server.websocket)).await??;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn places_of_the_register_port_held_by_strangers() -> anyhow::Result<()> {
    let flags = ["--handshake-timeout", "120", "--max-register-connections", "50"];
    during("200 strangers on 50 places for PHP", &flags, async |server, _| {
        let _strangers = in_batches(200, async |number| {
            let mut socket = connect(server.register[0]).await?;
            let words: [&[u8]; 4] = [b"", b"{\"event\":\"ping\"}\n", &PREFACE, b"\0\0\0\x30\xca"];
            socket.write_all(words[number % words.len()]).await?;
            Ok(socket)
        })
        .await?;
        for _ in 0..20 {
            soon("PHP", async { PhpPeer::connect(server.register[0]).await?.count().await }).await??;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn logins_that_are_never_finished() -> anyhow::Result<()> {
    during("6,000 half logins", &["--handshake-timeout", "120"], async |server, before| {
        let _half = in_batches(6000, async |number| {
            let mut socket = connect(server.register[0]).await?;
            let words: [&[u8]; 3] =
                [&[&PREFACE[..], &[0, 0, 2, 0, 0x93]].concat(), b"\0\0\x0f\x30\xca", b"{\"event\":"];
            socket.write_all(words[number % words.len()]).await?;
            Ok(socket)
        })
        .await?;
        let memory = before.memory_beside(server)?;
        println!("{} bytes for each half login", memory / 6000);
        // Each takes some 9 KiB of a debug build. What those of the last round had, the allocator may still keep for another thread than the
        // one that serves this round.
        ensure!(memory < 6000 * (24 << 10), "{memory} bytes");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn calls_that_never_come_whole() -> anyhow::Result<()> {
    let flags = ["--max-unfinished-bytes", "67108864"];
    during("64 calls of 16 MB that never come whole", &flags, async |server, before| {
        let open_files = server.open_files()?;
        let almost = [&(15_u32 << 20).to_be_bytes()[..], &vec![0x93; (14 * MIB) as usize]].concat();
        let attacks = (0..64).map(async |_| {
            let mut peer = PhpPeer::connect(server.register[0]).await?;
            // The write may fail: the server closes most peers while they write or right after.
            let _ = peer.write(&almost).await;
            Ok::<_, anyhow::Error>(peer)
        });
        let _peers = soon("the attacks", try_join_all(attacks)).await??;
        let memory = before.memory_beside(server)?;
        // All calls together would be 896 MB. The bound is above the 64 MiB of the setting because a buffer that grows is
        // there twice for a moment.
        ensure!(memory < 400 * MIB, "{memory} bytes");
        // The 64 MiB have room for four of them, and one connection may always keep what a single call may have.
        eventually(
            "those who hold most are closed",
            true,
            async || Ok(server.open_files()? < open_files + 20),
        )
        .await
    })
    .await
}

#[tokio::test]
async fn answers_that_nobody_reads() -> anyhow::Result<()> {
    during("20 who ask and never read", &[], async |server, before| {
        let mut question = Vec::new();
        Request { seq: 1, call: Call::Query(Query::Clients { groups: None }) }.encode(&mut question)?;
        // Each answer lists all clients of the crowd, so all answers for one peer would be 240 MB.
        let questions = question.repeat(20_000);
        let attacks = (0..20).map(async |_| {
            let mut peer = PhpPeer::connect(server.register[0]).await?;
            let _ = timeout(Duration::from_secs(3), peer.write(&questions)).await;
            Ok::<_, anyhow::Error>(peer)
        });
        let mut peers = soon("the attacks", try_join_all(attacks)).await??;
        let memory = before.memory_beside(server)?;
        ensure!(memory < 128 * MIB, "{memory} bytes");
        // A peer that reads after all gets what it asked for.
        let reply = peers[0].reply().await?;
        ensure!(matches!(reply, Reply::Answer { .. }), "{reply:?}");
        Ok(())
    })
    .await
}
