//! A node that can hand no more to NATS: its own clients wait for nothing.

use std::time::Duration;

use gateway_tests::{Client, PhpPeer, soon};
use gateway_wire::bridge::Order;
use nix::sys::signal::Signal;
use serde_bytes::Bytes;

use super::operated_nodes::OperatedNodes;

/// A confirmation that takes longer is waited for by the node itself.
const AT_ONCE: Duration = Duration::from_millis(300);
/// NATS counts as gone after some seconds, and then a node writes whatever has waited. A slow machine may take that long for a try.
const TRIES: usize = 3;

/// Pushes messages of so many bytes until one is not confirmed, and so waits for room. The client gets all of them.
async fn fill(php: &mut PhpPeer, length: usize, client: &mut Client) -> anyhow::Result<()> {
    let message = "x".repeat(length);
    loop {
        let uids = [Bytes::new(b"u")].into_iter().collect();
        php.order(Order::SendToUids { uids, message: Bytes::new(message.as_bytes()), raw: false }).await?;
        assert_eq!(client.text().await?, message);
        if tokio::time::timeout(AT_ONCE, php.acked()).await.is_err() {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn clients_of_a_node_get_their_pushes_while_its_queue_for_others_is_full() -> anyhow::Result<()> {
    const TEST: &str = "clients_of_a_node_get_their_pushes_while_its_queue_for_others_is_full";
    let flags = ["--cluster-buffer-bytes", "1048576", "--cluster-timeout", "60", "--ping-interval", "0"];
    let Some(nodes) = OperatedNodes::start(TEST, 2, &flags).await? else { return Ok(()) };
    for _ in 0..TRIES {
        let (mut php, mut other_php) = (nodes.php(0).await?, nodes.php(0).await?);
        let (mut client, elsewhere) = (nodes.client(0).await?, nodes.client(1).await?);
        for client in [client.id, elsewhere.id] {
            php.bind(client, "u").await?;
        }
        php.acked().await?;
        nodes.nats.signal(Signal::SIGSTOP)?;
        // Where a large message finds no room, a small one may still find some.
        fill(&mut other_php, 64 << 10, &mut client).await?;
        fill(&mut php, 1 << 10, &mut client).await?;
        let has_nats = nodes.metric(0, "gateway_cluster_connected").await? == 1.0;
        nodes.nats.signal(Signal::SIGCONT)?;
        for php in [&mut php, &mut other_php] {
            soon("the queue has room again", php.acked()).await??;
        }
        if has_nats {
            return Ok(());
        }
    }
    panic!("its clients waited until NATS counted as gone, {TRIES} times");
}
