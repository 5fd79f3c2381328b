//! A part of the server panics. A debug build does so when a client asks for it.

use gateway_tests::{Client, Operator, PhpPeer, Server, eventually, server_binary, skip};
use gateway_wire::bridge::Order;
use serde_bytes::Bytes;

/// Gives whether the server has faults on request; if not, the test is reported as skipped.
pub(super) fn has_faults(test: &str) -> anyhow::Result<bool> {
    let is_release = server_binary()?.to_string_lossy().contains("release");
    if !cfg!(debug_assertions) || is_release {
        skip(test, "only a debug build of the server has faults by wish");
    }
    Ok(cfg!(debug_assertions) && !is_release)
}

pub(super) async fn start(test: &str, flags: &[&str]) -> anyhow::Result<Option<Server>> {
    if !has_faults(test)? {
        return Ok(None);
    }
    let server = Server::start_with(|command| {
        command.args(["--shards", "1", "--operations", "127.0.0.1:0"]).args(flags);
        command.env("GATEWAY_TEST_FAULTS", "1").env("RUST_BACKTRACE", "0");
    });
    Ok(Some(server.await?))
}

/// Checks that PHP and the clients of the only shard are served, both the clients that were there and new ones.
async fn still_serves(server: &Server, early: &mut Client, php: &mut PhpPeer) -> anyhow::Result<()> {
    let mut late = Client::connect(server.websocket).await?;
    php.bind(late.id, "late").await?;
    assert_eq!(php.clients_of("late").await?, [late.id]);
    php.send_to_all("still here").await?;
    assert_eq!(early.text().await?, "still here");
    assert_eq!(late.text().await?, "still here");
    assert_eq!(Operator::of(server)?.get("/readyz").await?.status, 200);
    late.leave().await
}

#[tokio::test]
async fn the_client_whose_message_it_was_is_closed() -> anyhow::Result<()> {
    let Some(mut server) = start("the_client_whose_message_it_was_is_closed", &[]).await? else {
        return Ok(());
    };
    let mut early = Client::connect(server.websocket).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    for _ in 0..3 {
        let mut faulty = Client::connect(server.websocket).await?;
        faulty.send("panic at message".into()).await?;
        assert_eq!(faulty.closed().await?, (1011, "server error".to_owned()));
        server.logs("a fault of ours in thread shard-0: panicked at").await?;
        still_serves(&server, &mut early, &mut php).await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_comes_when_a_handshake_fails_is_dropped_alone() -> anyhow::Result<()> {
    let Some(mut server) = start("who_comes_when_a_handshake_fails_is_dropped_alone", &[]).await? else {
        return Ok(());
    };
    let mut early = Client::connect(server.websocket).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let operator = Operator::of(&server)?;
    for round in 1..=3 {
        early.send("panic at handshake".into()).await?;
        let number = "gateway_messages_received_total";
        eventually("the wish for a fault", f64::from(round), async || operator.metric(number).await).await?;
        assert!(Client::connect(server.websocket).await.is_err());
        server.logs("a fault of ours in thread").await?;
        still_serves(&server, &mut early, &mut php).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_client_whose_order_it_was_is_closed() -> anyhow::Result<()> {
    let Some(mut server) = start("the_client_whose_order_it_was_is_closed", &[]).await? else {
        return Ok(());
    };
    let mut early = Client::connect(server.websocket).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut faulty = Client::connect(server.websocket).await?;
    faulty.send("panic at change".into()).await?;
    // The client's message and PHP's order come by different ways, so the test waits for the first before it sends the
    // second.
    let number = "gateway_messages_received_total";
    let operator = Operator::of(&server)?;
    eventually("the wish for a fault", 1.0, async || operator.metric(number).await).await?;
    php.order(Order::BindUid { client: faulty.id, uid: Bytes::new(b"7") }).await?;
    assert_eq!(faulty.closed().await?.0, 1011);
    php.acked().await?;
    server.logs("a fault of ours in thread").await?;
    assert!(php.clients_of("7").await?.is_empty());
    still_serves(&server, &mut early, &mut php).await
}

#[tokio::test]
async fn a_question_fails_or_a_delivery_is_lost() -> anyhow::Result<()> {
    let Some(mut server) = start("a_question_fails_or_a_delivery_is_lost", &[]).await? else {
        return Ok(());
    };
    let mut early = Client::connect(server.websocket).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let operator = Operator::of(&server)?;
    let mut faulty = Client::connect(server.websocket).await?;
    let received = "gateway_messages_received_total";

    faulty.send("panic at delivery".into()).await?;
    eventually("the wish for a fault", 1.0, async || operator.metric(received).await).await?;
    php.send_to_all("lost").await?;
    php.acked().await?;
    server.logs("a fault of ours in thread").await?;
    php.send_to_all("not lost").await?;
    assert_eq!(faulty.text().await?, "not lost");
    assert_eq!(early.text().await?, "not lost");

    faulty.send("panic at write".into()).await?;
    eventually("the wish for a fault", 2.0, async || operator.metric(received).await).await?;
    php.send_to_all("it costs one of both").await?;
    server.logs("a fault of ours in thread").await?;
    let (one, other) = tokio::join!(early.text(), faulty.text());
    assert_ne!(one.is_ok(), other.is_ok(), "{one:?} {other:?}");

    let mut early = Client::connect(server.websocket).await?;
    let mut faulty = Client::connect(server.websocket).await?;
    php.bind(faulty.id, "7").await?;
    faulty.send("panic at question".into()).await?;
    eventually("the wish for a fault", 3.0, async || operator.metric(received).await).await?;
    // The caller gets an error, and its next call is answered.
    let told = php.clients_of("7").await.unwrap_err().to_string();
    assert!(told.contains("a fault of its own came up"), "{told}");
    server.logs("a fault of ours in thread").await?;
    assert_eq!(php.clients_of("7").await?, [faulty.id]);
    still_serves(&server, &mut early, &mut php).await
}

#[tokio::test]
async fn a_shard_that_cannot_go_on_ends_the_process() -> anyhow::Result<()> {
    let Some(mut server) = start("a_shard_that_cannot_go_on_ends_the_process", &[]).await? else {
        return Ok(());
    };
    let mut client = Client::connect(server.websocket).await?;
    client.send("panic at turn".into()).await?;
    server.logs("gateway-server: a fault in a turn of a shard: it ends, to be started again").await?;
    assert_eq!(server.exit().await?.code(), Some(70));
    client.gone().await
}

#[tokio::test]
async fn a_listener_that_ends_has_the_process_started_again() -> anyhow::Result<()> {
    let Some(mut server) = start("a_listener_that_ends_has_the_process_started_again", &[]).await? else {
        return Ok(());
    };
    let mut client = Client::connect(server.websocket).await?;
    client.send("panic at listener".into()).await?;
    // The listener comes to the place of the fault with the next client.
    let start = std::time::Instant::now();
    while Client::connect(server.websocket).await.is_ok() && start.elapsed() < gateway_tests::PATIENCE {}
    server.logs("a listener ended: stopping").await?;
    assert_eq!(client.closed().await?.0, 1001);
    assert_eq!(server.exit().await?.code(), Some(1));
    Ok(())
}
