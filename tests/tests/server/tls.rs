//! Clients that speak TLS: they are served like the others, and certificates change without anybody being disconnected.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use gateway_tests::{
    Client, PhpPeer, PlainClient, Server, TestCertificate, TlsClient, WorkerPeer, connect_tls, eventually,
    read_by_peer, soon,
};
use gateway_wire::bridge::{AnswerValue, Order};
use gateway_wire::gatewayworker::EventCommand;
use nix::sys::signal::Signal;
use serde_bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConnection, HandshakeKind};
use tokio_tungstenite::tungstenite::Message;

async fn start(certificate: &TestCertificate, flags: &[&str]) -> anyhow::Result<Server> {
    Server::start_with(|command| {
        command.args(["--shards", "2"]).args(certificate.flags()).args(flags);
    })
    .await
}

/// Checks that a client still gets a push of its own.
async fn assert_served(server: &Server, client: &mut TlsClient) -> anyhow::Result<()> {
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let message = Bytes::new(b"still here");
    php.order(Order::SendToClient { client: client.id, message, raw: false }).await?;
    assert_eq!(client.text().await?, "still here");
    Ok(())
}

/// Reads everything that comes before the connection ends.
async fn rest(socket: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    soon("the connection's end", socket.read_to_end(&mut bytes)).await??;
    Ok(bytes)
}

#[tokio::test]
async fn both_versions_carry_messages_of_every_size_both_ways() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let server = start(&certificate, &["--message-type", "binary"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    for version in [&TLS12, &TLS13] {
        let mut config = certificate.client(&[version])?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = connect_tls(config, TcpStream::connect(server.websocket).await?).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let mut client = Client::over(stream).await?;
        for size in [0, 1, 125, 16_000, 16_384, 16_385, 65_536, 900_000] {
            let message: Vec<u8> = (0..size).map(|at: usize| (at % 251) as u8).collect();
            let pushed = Bytes::new(&message);
            php.order(Order::SendToClient { client: client.id, message: pushed, raw: false }).await?;
            assert_eq!(client.message().await?, Message::binary(message.clone()));
            // The pong to the ping behind it shows that the server has read the message to its last byte.
            client.send(Message::binary(message)).await?;
            client.send(Message::Ping(vec![size as u8; 3].into())).await?;
            let pong = soon("a pong", futures_util::StreamExt::next(&mut client.socket)).await?;
            assert_eq!(pong.transpose()?, Some(Message::Pong(vec![size as u8; 3].into())));
        }
        // The server ends TLS before it closes the socket; otherwise the client's TLS would report an error here.
        client.socket.close(None).await?;
        while let Some(message) = soon("the end", futures_util::StreamExt::next(&mut client.socket)).await? {
            message?;
        }
        let mut rest = Vec::new();
        soon("the end of TLS", client.socket.get_mut().read_to_end(&mut rest)).await??;
    }
    Ok(())
}

#[tokio::test]
async fn a_few_hundred_get_every_push_in_order() -> anyhow::Result<()> {
    const CLIENTS: usize = 300;
    let certificate = TestCertificate::new()?;
    let server = start(&certificate, &["--listener", "websocket://127.0.0.1:0"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(certificate.connect(server.websocket).await?);
    }
    php.bind(clients[7].id, "seven").await?;
    for number in 0..50 {
        php.send_to_all(&format!("{number} {}", "x".repeat(number * 40))).await?;
        if number == 25 {
            php.send_to_uid("seven", "to seven alone").await?;
        }
    }
    for (at, client) in clients.iter_mut().enumerate() {
        for number in 0..50 {
            assert_eq!(client.text().await?, format!("{number} {}", "x".repeat(number * 40)));
            if at == 7 && number == 25 {
                assert_eq!(client.text().await?, "to seven alone");
            }
        }
    }
    for client in clients {
        client.leave().await?;
    }
    eventually("all have gone", AnswerValue::Int(0), async || php.count().await).await
}

#[tokio::test]
async fn a_handshake_byte_by_byte_succeeds() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let server = start(&certificate, &["--handshake-timeout", "120"]).await?;
    // TLS speaks to one end of this pipe; the bytes that come out of the other end go to the server one at a time.
    let (near, mut far) = tokio::io::duplex(64 << 10);
    let mut socket = TcpStream::connect(server.websocket).await?;
    socket.set_nodelay(true)?;
    let drip = async {
        let (mut out, mut back) = (vec![0; 4096], vec![0; 4096]);
        loop {
            tokio::select! {
                length = far.read(&mut out) => {
                    let length = length?;
                    for byte in &out[..length] {
                        socket.write_all(&[*byte]).await?;
                        // This makes sure that the server reads each byte alone.
                        read_by_peer(&socket).await?;
                    }
                }
                length = socket.read(&mut back) => far.write_all(&back[..length?]).await?,
            }
        }
        #[allow(unreachable_code)]
        anyhow::Ok(())
    };
    let conversation = async {
        let mut client = Client::over(certificate.over(near).await?).await?;
        client.send(Message::Ping(b"hi"[..].into())).await?;
        let pong = soon("a pong", futures_util::StreamExt::next(&mut client.socket)).await?;
        assert_eq!(pong.transpose()?, Some(Message::Pong(b"hi"[..].into())));
        anyhow::Ok(())
    };
    tokio::select! {
        failed = drip => failed,
        done = conversation => done,
    }
}

#[tokio::test]
async fn who_does_not_speak_tls_is_told() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let mut server = start(&certificate, &["--handshake-timeout", "5"]).await?;
    let mut honest = certificate.connect(server.websocket).await?;

    let mut plain = TcpStream::connect(server.websocket).await?;
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n").await?;
    let answer = String::from_utf8(rest(&mut plain).await?)?;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("This port speaks TLS: connect to it with wss://.\r\n"), "{answer}");
    drop(plain);
    server.logs("it does not speak TLS but HTTP").await?;

    // The client gets a fatal alert, or only the end of the connection.
    let alert = b"\x15\x03\x03\0\x02\x02";
    for garbage in [&[0xff; 3000][..], b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff0123"] {
        let mut socket = TcpStream::connect(server.websocket).await?;
        socket.write_all(garbage).await?;
        let answer = rest(&mut socket).await?;
        assert!(answer.is_empty() || answer.starts_with(alert), "{answer:?}");
        drop(socket);
        server.logs("offence=\"tls\"").await?;
    }
    assert_served(&server, &mut honest).await
}

#[tokio::test]
async fn a_tls_handshake_that_stalls_is_closed() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let mut server = start(&certificate, &["--handshake-timeout", "0.5"]).await?;
    let mut silent = TcpStream::connect(server.websocket).await?;
    assert_eq!(rest(&mut silent).await?, b"");
    server.logs("closed a connection whose handshake stalled").await?;
    // This record claims to be longer than what comes.
    let mut slow = TcpStream::connect(server.websocket).await?;
    slow.write_all(b"\x16\x03\x01\x02\x00\x01").await?;
    assert_eq!(rest(&mut slow).await?, b"");
    server.logs("closed a connection whose handshake stalled").await?;
    // This client completes the TLS handshake but sends no request.
    let mut shaken = certificate.over(TcpStream::connect(server.websocket).await?).await?;
    let mut rest = Vec::new();
    let _ = soon("the connection's end", shaken.read_to_end(&mut rest)).await?;
    server.logs("closed a connection whose handshake stalled").await.map(drop)
}

#[tokio::test]
async fn records_that_are_not_genuine_end_their_sender_alone() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let mut server = start(&certificate, &[]).await?;
    let mut honest = certificate.connect(server.websocket).await?;
    let mut forger = certificate.connect(server.websocket).await?;
    let (socket, _) = forger.socket.get_mut().get_mut();
    socket.write_all(b"\x17\x03\x03\x00\x20").await?;
    socket.write_all(&[7; 32]).await?;
    server.logs("ended a connection for its TLS").await?;
    forger.gone().await?;
    assert_served(&server, &mut honest).await
}

#[tokio::test]
async fn who_reads_too_slowly_is_closed_and_nobody_else_suffers() -> anyhow::Result<()> {
    const STALLED: i64 = 100;
    let certificate = TestCertificate::new()?;
    let server = start(&certificate, &["--outbox-bytes", "100000", "--close-timeout", "2"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let stream = certificate.over(socket.connect(server.websocket).await?).await?;
        stalled.push(Client::over(stream).await?);
    }
    let mut late = stalled.remove(0);
    let mut reader = certificate.connect(server.websocket).await?;
    let memory = server.memory()?;
    let message = "x".repeat(20_000);
    for _ in 0..60 {
        php.send_to_all(&message).await?;
        assert_eq!(reader.text().await?.len(), message.len());
    }
    eventually("all of them are offline", AnswerValue::Int(1), async || php.count().await).await?;
    // A client that reads on in time learns the reason, behind whole messages only.
    let close = loop {
        match late.message().await? {
            Message::Text(text) => assert_eq!(text.len(), message.len()),
            Message::Close(Some(frame)) => break frame,
            other => anyhow::bail!("{other:?}"),
        }
    };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4008, "reads too slowly"));
    late.gone().await?;
    let more = server.memory()?.saturating_sub(memory);
    assert!(more < 32 << 20, "{more} bytes more than with all of them connected and idle");
    assert_served(&server, &mut reader).await?;
    drop(stalled);
    Ok(())
}

#[tokio::test]
async fn those_who_read_late_get_everything_in_order() -> anyhow::Result<()> {
    const CLIENTS: usize = 40;
    const MESSAGES: usize = 500;
    let certificate = TestCertificate::new()?;
    let server = start(&certificate, &[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let socket = TcpSocket::new_v4()?;
        // With less, the kernel does not say that there is room again before it is asked, which takes seconds.
        socket.set_recv_buffer_size(16 << 10)?;
        let stream = certificate.over(socket.connect(server.websocket).await?).await?;
        clients.push(Client::over(stream).await?);
    }
    // The sockets take some whole messages, one in part, and no more, while the others wait in the server.
    let message = |number: usize| format!("{number} {}", "x".repeat(100 + number % 30 * 100));
    for number in 0..MESSAGES {
        php.send_to_all(&message(number)).await?;
        php.acked().await?;
    }
    for client in &mut clients {
        for number in 0..MESSAGES {
            assert_eq!(client.text().await?, message(number));
        }
    }
    Ok(())
}

#[tokio::test]
async fn php_closes_a_client_behind_its_last_message() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let server = start(&certificate, &[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut client = certificate.connect(server.websocket).await?;
    let last = Some(Bytes::new(b"bye"));
    php.order(Order::Close { client: client.id, last }).await?;
    assert_eq!(client.text().await?, "bye");
    assert_eq!(client.closed().await?.0, 1000);
    client.gone().await
}

/// Gives whether the server shows a new client the certificate that is in the files now.
async fn shows(certificate: &TestCertificate, address: SocketAddr) -> anyhow::Result<bool> {
    let tcp = soon("connecting", TcpStream::connect(address)).await??;
    Ok(certificate.over(tcp).await.is_ok())
}

#[tokio::test]
async fn a_new_certificate_is_for_new_clients_and_the_others_stay() -> anyhow::Result<()> {
    let mut certificate = TestCertificate::new()?;
    let mut server = start(&certificate, &[]).await?;
    let mut old = certificate.connect(server.websocket).await?;
    certificate.renew()?;
    eventually("the new certificate", true, async || shows(&certificate, server.websocket).await).await?;
    server.logs("new clients get the new certificate").await?;

    certificate.renew()?;
    server.signal(Signal::SIGHUP)?;
    server.logs("SIGHUP: reading the certificates again").await?;
    server.logs("new clients get the new certificate").await?;
    let mut new = certificate.connect(server.websocket).await?;
    assert_served(&server, &mut old).await?;
    assert_served(&server, &mut new).await
}

#[tokio::test]
async fn who_comes_back_shows_a_ticket() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let server = start(&certificate, &[]).await?;
    for version in [&TLS12, &TLS13] {
        let config = certificate.client(&[version])?;
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
            let stream = connect_tls(config.clone(), TcpStream::connect(server.websocket).await?).await?;
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind), "{version:?}");
            Client::over(stream).await?.leave().await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_broken_certificate_is_kept_out() -> anyhow::Result<()> {
    let mut certificate = TestCertificate::new()?;
    let mut server = start(&certificate, &[]).await?;
    let good = std::fs::read(&certificate.certificate)?;
    let other = TestCertificate::new()?;
    std::fs::write(&certificate.certificate, &good[..good.len() / 2])?;
    let line = server.logs("the new certificate is not taken, the old one stays").await?;
    assert!(line.contains("certificate.pem: not PEM: "), "{line}");
    std::fs::copy(&other.certificate, &certificate.certificate)?;
    let line = server.logs("the new certificate is not taken, the old one stays").await?;
    assert!(line.contains("key.pem: it is not the key of the certificate in "), "{line}");
    std::fs::remove_file(&certificate.key)?;
    server.signal(Signal::SIGHUP)?;
    let line = server.logs("the new certificate is not taken, the old one stays").await?;
    assert!(line.contains("key.pem: No such file or directory"), "{line}");
    certificate.connect(server.websocket).await?.leave().await?;
    certificate.renew()?;
    server.logs("new clients get the new certificate").await?;
    certificate.connect(server.websocket).await?.leave().await
}

/// Starts a server that must not start, and gives what it prints.
async fn complaint(flags: &[String]) -> anyhow::Result<String> {
    let mut command = tokio::process::Command::new(gateway_tests::server_binary()?);
    let command = command.args(["--websocket", "127.0.0.1:0", "--register", "127.0.0.1:0"]).args(flags);
    let output = soon("the server's end", command.kill_on_drop(true).output()).await??;
    assert!(!output.status.success());
    Ok(String::from_utf8(output.stderr)?)
}

#[tokio::test]
async fn what_is_wrong_with_the_files_is_said_at_the_start() -> anyhow::Result<()> {
    let (certificate, other) = (TestCertificate::new()?, TestCertificate::new()?);
    let [flag, path, key_flag, key] = certificate.flags();
    let said = complaint(&[flag.clone(), path.clone()]).await?;
    assert!(said.contains(&format!("tls_certificate: tls_key is missing, for the key of {path}")), "{said}");
    let said = complaint(&[key_flag.clone(), key.clone()]).await?;
    assert!(said.contains("tls_key: tls_certificate is missing"), "{said}");
    let said = complaint(&[flag.clone(), key.clone(), key_flag.clone(), key.clone()]).await?;
    assert!(said.contains(&format!("tls_certificate: {key}: there is no certificate in it")), "{said}");
    let said = complaint(&[flag.clone(), path.clone(), key_flag.clone(), path.clone()]).await?;
    assert!(said.contains(&format!("tls_key: {path}: there is no private key")), "{said}");
    let nowhere = format!("{path}.nowhere");
    let said = complaint(&[flag.clone(), nowhere.clone(), key_flag.clone(), key]).await?;
    assert!(said.contains(&format!("tls_certificate: {nowhere}: No such file")), "{said}");
    let said = complaint(&[flag, path, key_flag, other.key.display().to_string()]).await?;
    assert!(said.contains("it is not the key of the certificate in"), "{said}");
    Ok(())
}

#[tokio::test]
async fn listeners_have_tls_as_the_websocket_listener_unless_they_say_otherwise() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let file = tempfile::NamedTempFile::new()?;
    let text = "[[listener]]\nprotocol = \"text\"\naddress = \"127.0.0.1:0\"\n\
                [[listener]]\nprotocol = \"text\"\naddress = \"127.0.0.1:0\"\ntls_certificate = \"\"\n";
    std::fs::write(file.path(), text)?;
    let config = file.path().display().to_string();
    let server = start(&certificate, &["--config", &config]).await?;
    let mut plain = PlainClient::connect(server.listeners[1]).await?;
    let greeted = gateway_tests::greeted(plain.line().await?.as_bytes())?;
    let mut secured = certificate.over(TcpStream::connect(server.listeners[0]).await?).await?;
    let mut init = Vec::new();
    while !init.ends_with(b"\n") {
        soon("the init message", secured.read_buf(&mut init)).await??;
    }
    let id = gateway_tests::greeted(&init)?;
    assert_ne!(greeted, id);
    let mut php = PhpPeer::connect(server.register[0]).await?;
    php.send_to_all("hello").await?;
    assert_eq!(plain.line().await?, "hello");
    let mut hello = [0; 6];
    soon("a push", secured.read_exact(&mut hello)).await??;
    assert_eq!(&hello, b"hello\n");
    // The client is dropped without a close frame, so its TLS may report an error as well as the end.
    php.order(Order::Destroy { client: id }).await?;
    let _ = soon("the end", secured.read(&mut hello)).await?;
    eventually("one is left", AnswerValue::Int(1), async || php.count().await).await
}

async fn join(server: &mut Server) -> anyhow::Result<WorkerPeer> {
    let worker = WorkerPeer::connect(server.register[0], "w:0").await?;
    server.logs("a worker joined").await?;
    Ok(worker)
}

#[tokio::test]
async fn a_slow_worker_slows_its_clients_and_loses_nothing() -> anyhow::Result<()> {
    const MESSAGES: usize = 1000;
    let certificate = TestCertificate::new()?;
    let mut server = start(&certificate, &["--worker-buffer-bytes", "65536"]).await?;
    let mut slow = join(&mut server).await?;
    let stream = certificate.over(TcpStream::connect(server.websocket).await?).await?;
    let mut socket = tokio_tungstenite::client_async("ws://localhost/", stream).await?.0;
    slow.told_of(EventCommand::Connect).await?;
    let before = server.memory()?;
    let sender = tokio::spawn(async move {
        let padding = "x".repeat(32 << 10);
        for number in 0..MESSAGES {
            let message = Message::text(format!("{number} {padding}"));
            futures_util::SinkExt::send(&mut socket, message).await?;
        }
        anyhow::Ok(socket)
    });
    server.logs("stopped reading from a client").await?;
    let growth = server.memory()?.saturating_sub(before);
    assert!(growth < 16 << 20, "{growth} bytes wait for a worker");
    slow.told_of(EventCommand::WebsocketConnect).await?;
    slow.numbered_messages(0..MESSAGES).await?;
    let mut socket = soon("the sender", sender).await???;
    soon("closing", socket.close(None)).await??;
    slow.told_of(EventCommand::Close).await.map(drop)
}

#[tokio::test]
async fn what_comes_right_behind_the_handshake_is_heard() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let mut server = start(&certificate, &["--listener", "text://127.0.0.1:0"]).await?;
    let mut worker = join(&mut server).await?;
    for version in [&TLS12, &TLS13] {
        let config = certificate.client(&[version])?;
        let name = ServerName::try_from("localhost")?;
        let mut session = ClientConnection::new(Arc::new(config), name)?;
        // With TLS 1.3 these bytes leave together with the last bytes of the handshake, in one piece.
        session.writer().write_all(b"one\ntwo\n")?;
        let mut socket = std::net::TcpStream::connect(server.listeners[0])?;
        socket.set_read_timeout(Some(gateway_tests::PATIENCE))?;
        session.complete_io(&mut socket)?;
        while session.wants_write() {
            session.write_tls(&mut socket)?;
        }
        worker.told_of(EventCommand::Connect).await?;
        assert_eq!(worker.message().await?.1, "one");
        assert_eq!(worker.message().await?.1, "two");
        drop(socket);
        worker.told_of(EventCommand::Close).await?;
    }
    Ok(())
}
