//! Clients for which the server has to keep much, and sessions that cost more memory than their bytes.

use std::time::Duration;

use anyhow::ensure;
use futures_util::future::{join_all, try_join_all};
use gateway_tests::{Client, PhpPeer};
use gateway_wire::bridge::{Order, Reply};
use serde_bytes::Bytes;
use tokio::io::AsyncWriteExt as _;

use super::{MIB, during, established, frame, in_batches};

#[tokio::test]
async fn pings_that_nobody_reads_the_pongs_of() -> anyhow::Result<()> {
    during("100 who ping and read nothing", &[], async |server, before| {
        let flood = frame(0x89, b"").repeat(10_000);
        let mut sockets = in_batches(100, async |_| established(server.websocket).await).await?;
        let floods = sockets.iter_mut().map(async |socket| {
            // Each attacker sends as much as the server takes in the time. One that the server closes has done its part.
            let write = async { while socket.write_all(&flood).await.is_ok() {} };
            let _ = tokio::time::timeout(Duration::from_secs(3), write).await;
        });
        join_all(floods).await;
        let memory = before.memory_beside(server)?;
        ensure!(memory < 24 * MIB, "{memory} bytes");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn pushes_that_nobody_reads() -> anyhow::Result<()> {
    let flags = ["--max-outbox-bytes", "16777216", "--outbox-bytes", "8388608"];
    during("50 who read nothing of what they are pushed", &flags, async |server, before| {
        let mut php = PhpPeer::connect(server.register[0]).await?;
        // The clients' sockets hold a part of the messages, so not all of them wait in the server.
        let clients = try_join_all((0..50).map(|_| Client::connect(server.websocket))).await?;
        for (number, client) in clients.iter().enumerate() {
            php.bind(client.id, &format!("deaf-{number}")).await?;
        }
        php.acked().await?;
        let message = "x".repeat(500_000);
        for _ in 0..20 {
            for number in 0..clients.len() {
                php.send_to_uid(&format!("deaf-{number}"), &message).await?;
            }
            php.acked().await?;
            let memory = before.memory_beside(server)?;
            ensure!(memory < 128 * MIB, "{memory} bytes");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn sessions_full_of_references() -> anyhow::Result<()> {
    // This makes a session of an array with `large` entries and of `references` more entries; as "R:2;" each of these refers to
    // that array.
    let referring = |large: usize, references: usize, first: &str| {
        let entries: String = (0..large).map(|key| format!("i:{key};i:1;")).collect();
        let more: String = (1..=references).map(|key| format!("i:{key};{first}")).collect();
        format!("a:{}:{{i:0;a:{large}:{{{entries}}}{more}}}", references + 1)
    };
    let session = referring(30_000, 30_000, "R:2;");
    let changes = referring(1, 30_000, "a:1:{i:0;i:2;}");
    during("sessions full of references", &[], async |server, before| {
        let mut php = PhpPeer::connect(server.register[0]).await?;
        let victim = Client::connect(server.websocket).await?;
        let session = Bytes::new(session.as_bytes());
        let seq = php.order(Order::SetSession { client: victim.id, session }).await?;
        ensure!(matches!(php.reply().await?, Reply::Ack { seq: acked } if acked == seq));
        for _ in 0..5 {
            let changes = Bytes::new(changes.as_bytes());
            php.order(Order::UpdateSession { client: victim.id, changes }).await?;
            match php.reply().await? {
                Reply::Error { message, .. } => {
                    ensure!(message.contains("max_session_bytes"), "{message}");
                    // The next order is acked, although the one before it was refused.
                    php.acked().await?;
                }
                other => anyhow::bail!("{other:?} instead of an error"),
            }
        }
        let memory = before.memory_beside(server)?;
        ensure!(memory < 200 * MIB, "{memory} bytes");
        victim.leave().await
    })
    .await
}
