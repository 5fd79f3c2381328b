//! Websocket clients that misbehave: only the offender is closed, and the log says why.

use gateway_tests::{Client, PhpPeer, Server, eventually, read_by_peer, soon};
use gateway_wire::bridge::AnswerValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// Reads everything that comes before the connection ends.
async fn rest(socket: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // The connection may end by a reset as well as by an orderly close.
    let _ = soon("the connection's end", socket.read_to_end(&mut bytes)).await?;
    Ok(bytes)
}

/// Checks that an honest client still gets its push.
async fn assert_serves(server: &Server) -> anyhow::Result<()> {
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut honest = Client::connect(server.websocket).await?;
    php.bind(honest.id, "honest").await?;
    php.send_to_uid("honest", "still here").await?;
    assert_eq!(honest.text().await?, "still here");
    Ok(())
}

#[tokio::test]
async fn a_peer_that_is_no_websocket_is_told() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    let mut socket = TcpStream::connect(server.websocket).await?;
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    let answer = String::from_utf8(rest(&mut socket).await?)?;
    assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
    drop(socket);
    server.logs("refused a connection that is no websocket").await?;

    let mut socket = TcpStream::connect(server.websocket).await?;
    socket.write_all(&[0xff; 300]).await?;
    socket.shutdown().await?;
    rest(&mut socket).await?;
    server.logs("refused a connection that is no websocket").await?;
    assert_serves(&server).await
}

#[tokio::test]
async fn a_handshake_that_stalls_is_closed() -> anyhow::Result<()> {
    let mut server = Server::start(&["--handshake-timeout", "0.2"]).await?;
    let mut silent = TcpStream::connect(server.websocket).await?;
    let mut slow = TcpStream::connect(server.websocket).await?;
    slow.write_all(b"GET / HTTP/1.1\r\nHost:").await?;
    assert_eq!(rest(&mut silent).await?, b"");
    assert_eq!(rest(&mut slow).await?, b"");
    server.logs("closed a connection whose handshake stalled").await?;
    assert_serves(&server).await
}

#[tokio::test]
async fn a_refused_peer_that_does_not_go_is_dropped() -> anyhow::Result<()> {
    let server = Server::start(&["--handshake-timeout", "0.2"]).await?;
    let mut stubborn = TcpStream::connect(server.websocket).await?;
    stubborn.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    // The client reads the whole answer but keeps its own side open.
    rest(&mut stubborn).await?;
    let dropped = async {
        while stubborn.write_all(b"more").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    soon("the server to drop the connection", dropped).await?;
    assert_serves(&server).await
}

#[tokio::test]
async fn a_handshake_byte_by_byte_succeeds() -> anyhow::Result<()> {
    // The handshake takes longer than usual here: each look at the kernel's table of sockets is slow when other tests have
    // left it full.
    let server = Server::start(&["--handshake-timeout", "120"]).await?;
    let mut socket = TcpStream::connect(server.websocket).await?;
    socket.set_nodelay(true)?;
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for byte in request {
        socket.write_all(&[*byte]).await?;
        // This makes sure that the server reads each byte alone.
        read_by_peer(&socket).await?;
    }
    let mut answer = Vec::new();
    while !answer.ends_with(b"\"}") {
        soon("the init message", socket.read_buf(&mut answer)).await??;
    }
    let answer = String::from_utf8_lossy(&answer);
    // The names of the headers are spelt as in RFC 6455, because some devices compare them letter by letter.
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert!(answer.starts_with(head) && answer.contains("\"type\":\"init\""), "{answer}");

    // This is a ping with the payload "hi", masked with zeros, of which each byte is written alone.
    for byte in [0x89, 0x82, 0, 0, 0, 0, b'h', b'i'] {
        socket.write_all(&[byte]).await?;
        tokio::task::yield_now().await;
    }
    let mut pong = [0; 4];
    soon("the pong", socket.read_exact(&mut pong)).await??;
    assert_eq!(&pong, b"\x8a\x02hi");
    Ok(())
}

#[tokio::test]
async fn a_message_over_the_limit_closes_its_sender() -> anyhow::Result<()> {
    let mut server = Server::start(&["--max-message", "1000"]).await?;
    let mut whole = Client::connect(server.websocket).await?;
    whole.send("x".repeat(1001).into()).await?;
    assert_eq!(whole.closed().await?, (1009, "message too big".to_owned()));
    server.logs("a message is over the limit of 1000 bytes (max_message)").await?;

    let mut fragmented = Client::connect(server.websocket).await?;
    for opcode in [Data::Text, Data::Continue, Data::Continue] {
        let frame = Frame::message(vec![b'x'; 400], OpCode::Data(opcode), false);
        fragmented.send(Message::Frame(frame)).await?;
    }
    assert_eq!(fragmented.closed().await?.0, 1009);

    let mut fitting = Client::connect(server.websocket).await?;
    fitting.send("x".repeat(1000).into()).await?;
    fitting.leave().await?;
    assert_serves(&server).await
}

#[tokio::test]
async fn frames_that_break_the_protocol_close_their_sender() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    // These are an unmasked frame, reserved bits that are set, a continuation without a beginning, and text that is not UTF-8.
    for (bytes, code) in [
        (b"\x81\x01x".as_slice(), 1002),
        (b"\xf1\x80\0\0\0\0", 1002),
        (b"\x80\x80\0\0\0\0", 1002),
        (b"\x81\x81\0\0\0\0\xff", 1007),
    ] {
        let mut offender = Client::connect(server.websocket).await?;
        offender.socket.get_mut().write_all(bytes).await?;
        assert_eq!(offender.closed().await?.0, code);
        offender.gone().await?;
        server.logs("closed a client that broke the protocol").await?;
    }
    assert_serves(&server).await
}

#[tokio::test]
async fn a_client_that_vanishes_is_forgotten() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let tab = Client::connect(server.websocket).await?;
    php.bind(tab.id, "alice").await?;
    assert_eq!(php.clients_of("alice").await?, [tab.id]);
    // The client goes by a reset, without a close frame.
    let socket = tab.socket.into_inner().into_std()?;
    socket2::SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO))?;
    drop(socket);
    soon("the client to be forgotten", async {
        while !php.clients_of("alice").await?.is_empty() {}
        anyhow::Ok(())
    })
    .await??;
    assert_serves(&server).await
}

#[tokio::test]
async fn a_thousand_leave_at_once_and_leave_nothing_behind() -> anyhow::Result<()> {
    let server = Server::start(&["--shards", "2"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let open_files = server.open_files()?;
    let mut tabs = Vec::new();
    for number in 0..1000 {
        let tab = Client::connect(server.websocket).await?;
        php.bind(tab.id, &format!("user {}", number % 100)).await?;
        tabs.push(tab);
    }
    assert_eq!(php.clients_of("user 7").await?.len(), 10);
    // Pushes to the clients are under way while they disconnect.
    for number in 0..1000 {
        php.send_to_uid(&format!("user {}", number % 100), "to whom it may reach").await?;
    }
    drop(tabs);
    soon("all to be forgotten", async {
        while php.count().await? != gateway_wire::bridge::AnswerValue::Int(0) {}
        assert_eq!(php.clients_of("user 7").await?, []);
        anyhow::Ok(())
    })
    .await??;
    // A client is no longer counted as online a moment before its descriptor is closed, in the same turn of the shard's loop
    // or the next.
    soon("their descriptors to be closed", async {
        while server.open_files()? > open_files {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    })
    .await??;
    assert_serves(&server).await
}

#[tokio::test]
async fn a_reader_that_stalls_is_closed_and_slows_nobody() -> anyhow::Result<()> {
    let mut server = Server::start(&["--outbox-bytes", "100000"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut stalled = Client::connect(server.websocket).await?;
    let mut reader = Client::connect(server.websocket).await?;
    php.bind(stalled.id, "all").await?;
    php.bind(reader.id, "all").await?;
    // This is more than the kernel buffers for one socket, so that the rest waits in the server.
    let message = "x".repeat(50_000);
    for _ in 0..400 {
        php.send_to_uid("all", &message).await?;
        assert_eq!(reader.text().await?.len(), message.len());
    }
    php.acked().await?;
    server.logs("closed a client that reads too slowly").await?;
    assert_eq!(php.clients_of("all").await?, [reader.id]);

    // The stalled client begins to read in time: it gets the whole messages that the kernel held for it, and then the reason
    // why it was closed.
    let close = loop {
        match stalled.message().await? {
            Message::Text(text) => assert_eq!(text.len(), message.len()),
            Message::Close(Some(frame)) => break frame,
            other => anyhow::bail!("{other:?}"),
        }
    };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4008, "reads too slowly"));
    stalled.gone().await
}

#[tokio::test]
async fn thousands_of_stalled_readers_cost_nobody_else() -> anyhow::Result<()> {
    const STALLED: i64 = 2000;
    let server = Server::start(&["--outbox-bytes", "100000", "--close-timeout", "0.5"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        stalled.push(Client::over(socket.connect(server.websocket).await?).await?);
    }
    let mut reader = Client::connect(server.websocket).await?;
    let (memory, files) = (server.memory()?, server.open_files()?);
    // This is more than the kernel and the outbox hold for each client.
    let message = "x".repeat(20_000);
    for _ in 0..40 {
        php.send_to_all(&message).await?;
        assert_eq!(reader.text().await?.len(), message.len());
    }
    eventually("all of them are offline", AnswerValue::Int(1), async || php.count().await).await?;
    eventually("their sockets are closed", true, async || {
        Ok(server.open_files()? <= files - usize::try_from(STALLED)?)
    })
    .await?;
    let more = server.memory()?.saturating_sub(memory);
    assert!(more < 32 << 20, "{more} bytes more than with all of them connected and idle");
    php.send_to_all("still here").await?;
    assert_eq!(reader.text().await?, "still here");
    drop(stalled);
    Ok(())
}
