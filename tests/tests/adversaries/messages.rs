//! Clients that flood, never finish a message, or break the websocket protocol.

use std::time::Duration;

use anyhow::ensure;
use flate2::{Compress, Compression, FlushCompress};
use futures_util::future::try_join_all;
use gateway_tests::soon;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{MIB, REQUEST, connect, during, established, frame, in_batches, rest};

#[tokio::test]
async fn messages_byte_by_byte() -> anyhow::Result<()> {
    during("1,000 who write byte by byte", &[], async |server, before| {
        let mut sockets = in_batches(1000, async |_| established(server.websocket).await).await?;
        let stream =
            [frame(0x01, b"frag"), frame(0x89, b"ping"), frame(0x80, "mentiert ü".as_bytes())].concat();
        for byte in stream.iter().cycle().take(3 * stream.len()) {
            for socket in &mut sockets {
                socket.write_all(&[*byte]).await?;
            }
        }
        ensure!(before.memory_beside(server)? < 32 * MIB);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn ping_floods() -> anyhow::Result<()> {
    during("20 ping floods, half of them unread", &[], async |server, before| {
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
            // The server closes an attacker that reads nothing; the others go on until the time is over.
            let _ = tokio::time::timeout(Duration::from_secs(3), async {
                tokio::select! { () = write => {}, () = read => {} }
            })
            .await;
            anyhow::Ok(())
        });
        try_join_all(floods).await?;
        ensure!(before.memory_beside(server)? < 64 * MIB);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn giant_messages() -> anyhow::Result<()> {
    during("giant and fragmented messages", &[], async |server, before| {
        let almost = frame(0x02, &vec![b'x'; (MIB - 1) as usize]);
        let fragments = [frame(0x02, b""), frame(0x00, b"y").repeat(20_000)].concat();
        let attacks = (0..90).map(async |number: usize| {
            let mut socket = established(server.websocket).await?;
            match number % 3 {
                // This is a message of the greatest length, without its last byte.
                0 => drop(socket.write_all(&almost[..almost.len() - 1]).await),
                // This frame says that it has 2⁶² bytes.
                1 => {
                    socket
                        .write_all(
                            &[&[0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &almost].concat(),
                        )
                        .await
                        .ok();
                    ensure!(rest(&mut socket).await.starts_with(&[0x88]), "no close frame");
                }
                // These fragments have no end, until the server finds them too many.
                _ => while socket.write_all(&fragments).await.is_ok() {},
            }
            Ok(socket)
        });
        let _sockets = soon("the attacks", try_join_all(attacks)).await??;
        ensure!(before.memory_beside(server)? < 128 * MIB, "{} bytes", before.memory_beside(server)?);
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
async fn messages_of_zeros_that_a_thousandth_of_their_bytes_make() -> anyhow::Result<()> {
    let mut zeros = Vec::with_capacity(MIB as usize);
    Compress::new(Compression::best(), false).compress_vec(
        &vec![0; MIB as usize],
        &mut zeros,
        FlushCompress::Sync,
    )?;
    // By permessage-deflate, both sides leave out the last four bytes of a compressed message.
    zeros.truncate(zeros.len() - 4);
    // A debug build inflates ten times as slowly, so it gets fewer.
    let bombs = frame(0xc2, &zeros).repeat(if cfg!(debug_assertions) { 15 } else { 50 });
    let flags = ["--deflate", "--max-message", "1048576"];
    during("50 who send messages of 1 MiB in 1 KB each", &flags, async |server, before| {
        let attacks = (0..50).map(async |_| {
            let mut socket = connect(server.websocket).await?;
            let request = String::from_utf8_lossy(REQUEST);
            let offer = "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
            socket.write_all(format!("{}{offer}", request.trim_end()).as_bytes()).await?;
            let mut seen = Vec::new();
            while !seen.ends_with(b"\"}") {
                ensure!(
                    socket.read_buf(&mut seen).await? > 0,
                    "{} and the end",
                    String::from_utf8_lossy(&seen)
                );
            }
            socket.write_all(&bombs).await?;
            // The server answers in its turn: the pong shows that it has read all that came before.
            socket.write_all(&frame(0x89, b"done?")).await?;
            let mut pong = [0; 7];
            socket.read_exact(&mut pong).await?;
            ensure!(pong == *b"\x8a\x05done?", "{pong:?} is no pong");
            Ok(socket)
        });
        let attacks = tokio::time::timeout(Duration::from_secs(240), try_join_all(attacks));
        let mut attacks = std::pin::pin!(attacks);
        let sockets = loop {
            tokio::select! {
                sockets = &mut attacks => break sockets??,
                () = tokio::time::sleep(Duration::from_millis(100)) => {
                    let memory = before.memory_beside(server)?;
                    ensure!(memory < 48 * MIB, "{memory} bytes");
                }
            }
        };
        drop(sockets);
        Ok(())
    })
    .await
}
