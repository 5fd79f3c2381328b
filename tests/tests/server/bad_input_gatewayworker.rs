//! Peers of GatewayWorker's protocols that misbehave: only the offender is closed, and the log says why.

use gateway_tests::{Client, PhpPeer, Server, soon};
use gateway_wire::gatewayworker::{Command, Packet, RegisterLine, reply};
use gateway_wire::php_serialize::PhpValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends `bytes`, and gives everything that the server answers before it closes.
async fn say(server: &Server, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(server.register[0]).await?;
    socket.write_all(bytes).await?;
    let mut answer = Vec::new();
    // The connection may end by a reset as well as by an orderly close.
    let _ = soon("the server to close", socket.read_to_end(&mut answer)).await?;
    Ok(answer)
}

fn packets(commands: &[Command]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for command in commands {
        command.encode(&mut bytes)?;
    }
    Ok(bytes)
}

async fn next_reply(socket: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    soon("a reply", async {
        let length = socket.read_u32().await?;
        let mut content = vec![0; length as usize];
        socket.read_exact(&mut content).await?;
        Ok(content)
    })
    .await?
}

async fn with_secret() -> anyhow::Result<Server> {
    Server::start_with(|command| {
        command.env("GATEWAY_SECRET_KEY", "geheim");
    })
    .await
}

#[tokio::test]
async fn register_lines_that_make_no_sense_are_closed_with_a_log_line() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    let mut honest = PhpPeer::connect(server.register[0]).await?;
    for (line, logged) in [
        ("{\"event\":\"shutdown\"}\n", "no line of the register protocol"),
        ("{}\n", "no line of the register protocol"),
        ("{\"event\":\"gateway_connect\",\"address\":\"nowhere\"}\n", "must be ip:port"),
        ("{\"event\":\"broadcast_addresses\",\"addresses\":[]}\n", "only a register says"),
        (&format!("{{{}", " ".repeat(5000)), "over 4096 bytes"),
    ] {
        assert_eq!(say(&server, line.as_bytes()).await?, b"", "{line}");
        server.logs(logged).await?;
    }
    honest.count().await.map(drop)
}

#[tokio::test]
async fn packets_that_make_no_sense_are_closed_with_a_log_line() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    let mut honest = PhpPeer::connect(server.register[0]).await?;
    let mut lie = packets(&[Command::Ping])?;
    lie[27] = 1;
    for (bytes, logged) in [
        (&[0, 0, 0, 5][..], "less than its header of 28"),
        (&lie, "extension data, more than it has room for"),
    ] {
        assert_eq!(say(&server, bytes).await?, b"");
        server.logs(logged).await?;
    }
    honest.count().await.map(drop)
}

#[tokio::test]
async fn a_command_that_is_refused_harms_no_other() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    let client = Client::connect(server.websocket).await?;
    let connection = client.id.connection;
    let mut socket = TcpStream::connect(server.register[0]).await?;
    let mut bytes = Vec::new();
    // The commands hold a session that is nested deeper than any stack, a session that is an object, a name that is too long,
    // a message with an object, and text that is not JSON.
    let deep = "a:1:{i:0;".repeat(100_000);
    let name = vec![b'x'; 5000];
    for command in [
        Command::SetSession { connection, session: deep.as_bytes() },
        Command::UpdateSession { connection, changes: br#"O:8:"stdClass":0:{}"# },
        Command::JoinGroup { connection, group: &name },
        Command::BindUid { connection, uid: b"0" },
    ] {
        command.encode(&mut bytes)?;
    }
    Packet::new(99).encode(&mut bytes)?;
    let with_object = br#"a:1:{i:0;O:8:"stdClass":0:{}}"#;
    Packet { flags: 0, body: with_object, connection, ..Packet::new(5) }.encode(&mut bytes)?;
    let nested = "[".repeat(100_000);
    Packet { extension: nested.as_bytes(), ..Packet::new(16) }.encode(&mut bytes)?;
    Command::GetSession { connection }.encode(&mut bytes)?;
    Command::IsOnline { connection }.encode(&mut bytes)?;
    socket.write_all(&bytes).await?;
    for expected in ["a:0:{}", "a:0:{}", "i:1;"] {
        assert_eq!(String::from_utf8(next_reply(&mut socket).await?)?, expected);
    }
    for logged in ["nested more than", "not an array", "more than the 1024 allowed", "the uid is empty"] {
        server.logs(logged).await?;
    }
    for logged in ["no command with number 99", "no scalar", "not the JSON expected"] {
        server.logs(logged).await?;
    }
    Ok(())
}

#[tokio::test]
async fn whoever_does_not_know_the_secret_is_closed() -> anyhow::Result<()> {
    let mut server = with_secret().await?;
    let wrong = || "guess".to_owned();
    let mut line = Vec::new();
    RegisterLine::WorkerConnect { secret_key: wrong() }.encode(&mut line);
    assert_eq!(say(&server, &line).await?, b"");
    server.logs("wrong secret").await?;
    for commands in [
        &[Command::GetSessions][..],
        &[Command::ClientConnect { secret_key: wrong() }, Command::GetSessions],
        &[Command::WorkerConnect { worker_key: "w:0".to_owned(), secret_key: wrong() }],
    ] {
        assert_eq!(say(&server, &packets(commands)?).await?, b"");
        let line = server.logs("refused a login").await?;
        assert!(!line.contains("guess") && !line.contains("geheim"), "{line}");
    }
    // A packet of a peer that has not logged in may have at most 4096 bytes.
    let mut header = packets(&[Command::Ping])?;
    header[..4].copy_from_slice(&100_000_u32.to_be_bytes());
    assert_eq!(say(&server, &header).await?, b"");
    server.logs("over the limit of 4096").await.map(drop)
}

#[tokio::test]
async fn credentials_and_commands_may_come_in_one_write_or_byte_by_byte() -> anyhow::Result<()> {
    let server = with_secret().await?;
    let secret_key = || "geheim".to_owned();
    let bytes = packets(&[
        Command::ClientConnect { secret_key: secret_key() },
        Command::GetClientCount { group: None },
        Command::ClientConnect { secret_key: secret_key() },
        Command::GetGroups,
    ])?;
    for step in [bytes.len(), 1, 7] {
        let mut socket = TcpStream::connect(server.register[0]).await?;
        socket.set_nodelay(true)?;
        for part in bytes.chunks(step) {
            socket.write_all(part).await?;
        }
        assert_eq!(next_reply(&mut socket).await?, b"i:0;");
        assert_eq!(next_reply(&mut socket).await?, b"a:0:{}");
    }
    Ok(())
}

#[tokio::test]
async fn silence_is_closed() -> anyhow::Result<()> {
    let mut server = Server::start(&["--handshake-timeout", "0.2"]).await?;
    for half in [&b"{"[..], b"\0\0\0\x1c", b"{\"event\":\"ping\""] {
        assert_eq!(say(&server, half).await?, b"");
        server.logs("(handshake_timeout)").await?;
    }
    Ok(())
}

#[tokio::test]
async fn replies_come_in_order_however_many_are_asked_for() -> anyhow::Result<()> {
    let server = Server::start(&["--shards", "2"]).await?;
    let client = Client::connect(server.websocket).await?;
    let connection = client.id.connection;
    let session = format!("a:1:{{i:0;s:100000:\"{}\";}}", "x".repeat(100_000));
    let mut socket = TcpStream::connect(server.register[0]).await?;
    let mut bytes = packets(&[Command::SetSession { connection, session: session.as_bytes() }])?;
    for _ in 0..200 {
        bytes.extend(packets(&[Command::GetSessions, Command::IsOnline { connection }])?);
    }
    socket.write_all(&bytes).await?;
    for _ in 0..200 {
        let reply = next_reply(&mut socket).await?;
        let PhpValue::Array(sessions) = PhpValue::parse(&reply)? else { anyhow::bail!("no array") };
        assert!(matches!(sessions[..], [(_, PhpValue::Str(one))] if one == session.as_bytes()));
        assert_eq!(next_reply(&mut socket).await?, b"i:1;");
    }
    assert!(reply::MAX_REPLY > session.len());
    Ok(())
}

#[tokio::test]
async fn what_comes_before_a_broken_packet_has_effect_and_is_answered() -> anyhow::Result<()> {
    // Without pings the shards do nothing else that would send what waits: the error itself has to do it.
    let server = Server::start(&["--ping-interval", "0"]).await?;
    let mut client = Client::connect(server.websocket).await?;
    let connection = client.id.connection;
    let worker = Command::WorkerConnect { worker_key: "w:0".to_owned(), secret_key: String::new() };
    let order = |message| Command::SendToOne { connection, message, raw: false };
    let broken = [0, 0, 0, 27, 0];
    let bytes = [packets(&[order(b"one"), Command::IsOnline { connection }])?, broken.to_vec()].concat();
    let answer = say(&server, &bytes).await?;
    assert_eq!(PhpValue::parse(&answer[reply::HEADER..])?, PhpValue::Int(1));
    assert_eq!(client.text().await?, "one");
    let bytes = [packets(&[worker, order(b"two")])?, broken.to_vec()].concat();
    say(&server, &bytes).await?;
    assert_eq!(client.text().await?, "two");
    Ok(())
}

#[tokio::test]
async fn a_ping_is_no_login() -> anyhow::Result<()> {
    let mut server = Server::start(&["--handshake-timeout", "0.5"]).await?;
    let ping = b"{\"event\":\"ping\"}\n";
    assert_eq!(say(&server, &ping.repeat(3)).await?, b"");
    server.logs("it did not say who it is within 500ms (handshake_timeout)").await?;
    // A worker that has logged in may stay silent for as long as it likes.
    let mut worker = TcpStream::connect(server.register[0]).await?;
    let mut line = Vec::new();
    RegisterLine::WorkerConnect { secret_key: String::new() }.encode(&mut line);
    worker.write_all(&[&ping[..], &line].concat()).await?;
    let mut addresses = [0; 1024];
    assert!(soon("addresses", worker.read(&mut addresses)).await?? > 0);
    let silent = tokio::time::timeout(std::time::Duration::from_secs(1), worker.read(&mut addresses)).await;
    assert!(silent.is_err(), "{silent:?}");
    Ok(())
}
