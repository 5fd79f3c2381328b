//! Clients that speak plain text lines or frames instead of websocket, beside clients that do.

use std::time::{Duration, Instant};

use gateway_tests::{Client, PhpPeer, PlainClient, Server, WorkerPeer, greeted};
use gateway_wire::ClientId;
use gateway_wire::bridge::Order;
use gateway_wire::gatewayworker::{Command, EventCommand};
use serde_bytes::Bytes;

const TEXT: &str = "text://127.0.0.1:0";

fn text(text: &str) -> &Bytes {
    Bytes::new(text.as_bytes())
}

/// Starts a server with these settings in its file.
async fn started_with(settings: &str) -> anyhow::Result<Server> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), settings)?;
    Server::start(&["--config", file.path().to_str().unwrap_or_default()]).await
}

async fn send(php: &mut PhpPeer, client: ClientId, message: &str, raw: bool) -> anyhow::Result<()> {
    php.order(Order::SendToClient { client, message: text(message), raw }).await.map(drop)
}

#[tokio::test]
async fn lines_are_greeted_pushed_and_closed() -> anyhow::Result<()> {
    let server = Server::start(&["--listener", TEXT]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut tab = Client::connect(server.websocket).await?;
    let mut line = PlainClient::connect(server.listeners[0]).await?;
    let id = greeted(line.line().await?.as_bytes())?;
    php.bind(tab.id, "alice").await?;
    php.bind(id, "alice").await?;

    // Every client gets a message in the form of its own protocol, whether messages are sent together or alone. A raw message
    // is sent as it is.
    php.send_to_uid("alice", "to both").await?;
    php.send_to_uid("alice", "again").await?;
    php.send_to_all("to all").await?;
    send(&mut php, id, "half a ", true).await?;
    send(&mut php, id, "line", false).await?;
    for expected in ["to both", "again", "to all"] {
        assert_eq!(tab.text().await?, expected);
        assert_eq!(line.line().await?, expected);
    }
    assert_eq!(line.line().await?, "half a line");

    send(&mut php, id, "queued", false).await?;
    php.order(Order::Close { client: id, last: Some(text("bye")) }).await?;
    assert_eq!(line.line().await?, "queued");
    assert_eq!(line.line().await?, "bye");
    line.ended().await?;
    drop(line);
    assert_eq!(php.clients_of("alice").await?, [tab.id]);
    Ok(())
}

#[tokio::test]
async fn workers_are_told_of_lines_with_the_port_where_they_came_in() -> anyhow::Result<()> {
    let mut server = Server::start(&["--listener", TEXT]).await?;
    let mut worker = WorkerPeer::connect(server.register[0], "w:0").await?;
    server.logs("a worker joined").await?;
    let mut line = PlainClient::connect(server.listeners[0]).await?;
    let came = worker.told().await?;
    assert_eq!((came.kind, came.gateway_port), (EventCommand::Connect, server.listeners[0].port()));
    let connection = came.client.connection;

    // The bytes come in pieces that do not end where lines end.
    for piece in [&b"one\r\ntw"[..], b"o", b"\n\nthree"] {
        line.write(piece).await?;
    }
    for expected in ["one", "two", ""] {
        let told = worker.told().await?;
        assert_eq!((told.kind, told.client), (EventCommand::Message, came.client));
        assert_eq!(String::from_utf8(told.body)?, expected);
    }
    worker.order(Command::SendToOne { connection, message: b"hello", raw: false }).await?;
    assert_eq!(line.line().await?, "hello");
    // The bytes behind the last line feed are no whole line, so no message comes of them.
    drop(line);
    let gone = worker.told().await?;
    assert_eq!((gone.kind, gone.client), (EventCommand::Close, came.client));

    let _tab = Client::shake_hands(server.websocket, "/", &[]).await?;
    assert_eq!(worker.told_of(EventCommand::Connect).await?.gateway_port, server.websocket.port());
    Ok(())
}

#[tokio::test]
async fn a_long_line_ends_only_its_own_connection() -> anyhow::Result<()> {
    let mut server = Server::start(&["--listener", TEXT, "--max-message", "200"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut honest = PlainClient::connect(server.listeners[0]).await?;
    greeted(honest.line().await?.as_bytes())?;
    let mut offender = PlainClient::connect(server.listeners[0]).await?;
    greeted(offender.line().await?.as_bytes())?;
    offender.write(&[b'x'; 201]).await?;
    offender.ended().await?;
    server.logs("over the limit of 200 bytes").await?;
    php.send_to_all("still here").await?;
    assert_eq!(honest.line().await?, "still here");
    Ok(())
}

#[tokio::test]
async fn a_stop_ends_their_connections() -> anyhow::Result<()> {
    let mut server = Server::start(&["--listener", TEXT]).await?;
    let mut line = PlainClient::connect(server.listeners[0]).await?;
    greeted(line.line().await?.as_bytes())?;
    server.signal(nix::sys::signal::Signal::SIGTERM)?;
    line.ended().await?;
    drop(line);
    assert!(server.exit().await?.success());
    Ok(())
}

#[tokio::test]
async fn messages_wait_for_others_on_a_listener_that_coalesces_and_on_no_other() -> anyhow::Result<()> {
    const COALESCE: Duration = Duration::from_millis(300);
    let settings = r#"
        coalesce = "300ms"

        [[listener]]
        protocol = "text"
        address = "127.0.0.1:0"
        coalesce = "0"
    "#;
    let server = started_with(settings).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut tab = Client::connect(server.websocket).await?;
    let mut line = PlainClient::connect(server.listeners[0]).await?;
    let id = greeted(line.line().await?.as_bytes())?;

    let sent = Instant::now();
    for number in 0..50 {
        php.send_to_all(&format!("push {number}")).await?;
    }
    // However slow this machine is, nothing comes earlier. What comes on the other listener waits for nothing, which is seen where
    // the machine is not that slow.
    assert_eq!(line.line().await?, "push 0");
    let other_took = sent.elapsed();
    assert_eq!(tab.text().await?, "push 0");
    assert!(sent.elapsed() >= COALESCE && other_took < sent.elapsed());
    for number in 1..50 {
        let expected = format!("push {number}");
        assert_eq!((tab.text().await?, line.line().await?), (expected.as_str().into(), expected));
    }
    // A close comes behind what waits.
    php.order(Order::SendToClient { client: tab.id, message: text("a"), raw: false }).await?;
    php.order(Order::Close { client: tab.id, last: Some(text("b")) }).await?;
    php.order(Order::Close { client: id, last: None }).await?;
    assert_eq!((tab.text().await?, tab.text().await?), ("a".into(), "b".into()));
    tab.closed().await?;
    line.ended().await
}

#[tokio::test]
async fn each_listener_has_limits_and_a_heartbeat_of_its_own() -> anyhow::Result<()> {
    let settings = r#"
        ping_interval = 3600
        max_message = 125

        [[listener]]
        protocol = "text"
        address = "127.0.0.1:0"
        ping_interval = 0.2
        ping_not_response_limit = 2
        ping_data = "are you there"
        max_message = 1000

        [[listener]]
        protocol = "text"
        address = "127.0.0.1:0"
        ping_interval = 0.2
        ping_not_response_limit = 1
    "#;
    let server = started_with(settings).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut tab = Client::connect(server.websocket).await?;
    let mut pinged = PlainClient::connect(server.listeners[0]).await?;
    let mut unpinged = PlainClient::connect(server.listeners[1]).await?;
    greeted(pinged.line().await?.as_bytes())?;
    greeted(unpinged.line().await?.as_bytes())?;

    // This line is longer than the other listeners allow, and having sent it keeps the client from being closed for silence.
    pinged.write(&[&[b'x'; 1000][..], b"\n"].concat()).await?;
    for _ in 0..4 {
        assert_eq!(pinged.line().await?, "are you there");
        pinged.write(b"yes\n").await?;
    }
    // This protocol has no ping of its own and the listener sets no ping data, but silence ends the connection all the same.
    unpinged.ended().await?;
    php.send_to_all("neither").await?;
    assert_eq!(tab.text().await?, "neither");
    Ok(())
}

#[tokio::test]
async fn one_that_does_not_read_is_closed() -> anyhow::Result<()> {
    let mut server = Server::start(&["--listener", TEXT, "--outbox-bytes", "100000"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut stalled = PlainClient::connect(server.listeners[0]).await?;
    let id = greeted(stalled.line().await?.as_bytes())?;
    php.bind(id, "stalled").await?;
    let message = "x".repeat(500_000);
    while !php.clients_of("stalled").await?.is_empty() {
        php.send_to_uid("stalled", &message).await?;
    }
    server.logs("closed a client that reads too slowly").await.map(drop)
}

#[tokio::test]
async fn one_message_reaches_clients_of_every_kind() -> anyhow::Result<()> {
    let listeners = "text://127.0.0.1:0,frame://127.0.0.1:0,tcp://127.0.0.1:0";
    let mut server = Server::start(&["--shards", "1", "--listener", listeners]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut tab = Client::connect(server.websocket).await?;
    php.bind(tab.id, "alice").await?;
    let [mut line, mut frame, mut tcp] = [
        PlainClient::connect(server.listeners[0]).await?,
        PlainClient::connect(server.listeners[1]).await?,
        PlainClient::connect(server.listeners[2]).await?,
    ];
    let init = line.line().await?;
    php.bind(greeted(init.as_bytes())?, "alice").await?;
    let header = frame.bytes(4).await?;
    assert_eq!(header, (4 + init.len() as u32).to_be_bytes());
    php.bind(greeted(&frame.bytes(init.len()).await?)?, "alice").await?;
    php.bind(greeted(&tcp.bytes(init.len()).await?)?, "alice").await?;

    for _ in 0..2 {
        php.send_to_uid("alice", "hello").await?;
    }
    for _ in 0..2 {
        assert_eq!(tab.text().await?, "hello");
        assert_eq!(line.line().await?, "hello");
        assert_eq!(frame.bytes(9).await?, b"\0\0\0\x09hello");
        assert_eq!(tcp.bytes(5).await?, b"hello");
    }

    // Workers get the events of all these clients.
    let mut worker = WorkerPeer::connect(server.register[0], "w:0").await?;
    server.logs("a worker joined").await?;
    frame.write(b"\0\0\0\x07one\0\0\0\x04\0\0").await?;
    let mut told = worker.told_of(EventCommand::Connect).await?;
    assert_eq!(told.gateway_port, server.listeners[1].port());
    for expected in ["one", ""] {
        assert_eq!(worker.message().await?, (told.client, expected.to_owned()));
    }
    tcp.write(b"any\nbytes").await?;
    told = worker.told_of(EventCommand::Connect).await?;
    assert_eq!(told.gateway_port, server.listeners[2].port());
    assert_eq!(worker.message().await?, (told.client, "any\nbytes".to_owned()));

    // A length that is too small for its own header ends the connection.
    frame.write(b"\0\x03").await?;
    frame.ended().await?;
    server.logs("which alone has 4").await.map(drop)
}
