//! PHP processes that misbehave on the register port: only the offender is closed, and the log says why.

use gateway_tests::{Client, OWN_NONCE, PhpPeer, Server, new_producer, soon};
use gateway_wire::bridge::{
    Call, Login, MAX_ELEMENTS, MAX_NAME, Order, PREFACE, Query, Reply, Request, frame,
};
use serde_bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends `bytes`, and gives all replies that come before the server closes.
async fn say(server: &Server, bytes: &[u8]) -> anyhow::Result<Vec<Reply>> {
    let mut socket = TcpStream::connect(server.register[0]).await?;
    socket.write_all(bytes).await?;
    let mut answer = Vec::new();
    // The connection may end by a reset as well as by an orderly close.
    let _ = soon("the server to close", socket.read_to_end(&mut answer)).await?;
    let mut replies = Vec::new();
    let mut rest = answer.as_slice();
    while let Some(length) = frame::content_length(rest, frame::MAX_REPLY)? {
        replies.push(Reply::decode(&rest[frame::HEADER..frame::HEADER + length])?);
        rest = &rest[frame::HEADER + length..];
    }
    assert!(rest.is_empty(), "{rest:?} behind the replies");
    Ok(replies)
}

/// The message of the error with which the server ends a connection.
fn error(replies: &[Reply]) -> &str {
    match replies {
        [.., Reply::Error { seq: 0, message }] => message,
        other => panic!("{other:?} does not end with an error"),
    }
}

#[tokio::test]
async fn garbage_is_closed_with_a_log_line() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    let mut honest = PhpPeer::connect(server.register[0]).await?;
    assert_eq!(say(&server, b"GET / HTTP/1.1\r\n\r\n").await?, []);
    server.logs("its first byte 0x47 opens no protocol").await?;
    assert_eq!(
        error(&say(&server, b"\xc1XY\x01").await?),
        "the first bytes are not those of a gateway bridge"
    );
    server.logs("not those of a gateway bridge").await?;
    honest.count().await.map(drop)
}

#[tokio::test]
async fn an_unknown_version_is_told_which_one_is_spoken() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    assert!(
        error(&say(&server, b"\xc1GW\x63").await?)
            .starts_with("bridge version 99 is not spoken here, only version 2")
    );
    server.logs("bridge version 99").await.map(drop)
}

#[tokio::test]
async fn a_frame_over_the_limit_is_refused_by_its_length() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    let mut bytes = PREFACE.to_vec();
    bytes.extend_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
    let replies = say(&server, &bytes).await?;
    assert_eq!(error(&replies), "a frame of 2147483647 bytes is over the limit of 1024");
    server.logs("over the limit of 1024").await?;

    let mut php = PhpPeer::connect(server.register[0]).await?;
    php.write(&[0x7f, 0xff, 0xff, 0xff]).await?;
    assert!(
        matches!(php.reply().await?, Reply::Error { seq: 0, message } if message.contains("limit of 16777216"))
    );
    server.logs("over the limit of 16777216").await.map(drop)
}

#[tokio::test]
async fn a_bad_call_ends_the_connection_but_not_what_was_before_it() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    let producer = new_producer();
    let mut php = PhpPeer::connect_as(server.register[0], producer, b"").await?;
    php.send_to_all("before").await?;
    php.write(&[0, 0, 0, 3, 0x92, 9, 77]).await?;
    loop {
        match php.reply().await? {
            Reply::Ack { seq: 1 } => {}
            Reply::Error { seq: 0, message } => {
                assert!(message.contains("there is no call with number 77"), "{message}");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    server.logs("there is no call with number 77").await?;
    assert_eq!(PhpPeer::connect_as(server.register[0], producer, b"").await?.applied, 1);
    Ok(())
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_never_logged() -> anyhow::Result<()> {
    let mut server = Server::start_with(|command| {
        command.env("GATEWAY_SECRET_KEY", "s3cr3t").args(["--log", "trace"]);
    })
    .await?;
    for wrong in [b"".as_slice(), b"s3cr3", b"s3cr3t "] {
        let refused = PhpPeer::connect_as(server.register[0], new_producer(), wrong).await;
        let message = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.starts_with("wrong secret"), "{message:?} for {wrong:?}");
        let line = server.logs("refused a login").await?;
        assert!(!line.contains("s3cr3"), "{line}");
    }
    PhpPeer::connect_as(server.register[0], new_producer(), b"s3cr3t").await.map(drop)
}

#[tokio::test]
async fn a_proof_is_good_for_one_nonce_only() -> anyhow::Result<()> {
    let server = Server::start_with(|command| {
        command.env("GATEWAY_SECRET_KEY", "s3cr3t");
    })
    .await?;
    let mut replayed = PREFACE.to_vec();
    Login::new(Login::PHP, new_producer(), b"s3cr3t", &[0; 32], OWN_NONCE).encode(&mut replayed)?;
    let replies = say(&server, &replayed).await?;
    assert!(error(&replies).starts_with("wrong secret"), "{replies:?}");
    Ok(())
}

#[tokio::test]
async fn a_login_that_stalls_is_closed() -> anyhow::Result<()> {
    let mut server = Server::start(&["--handshake-timeout", "0.2"]).await?;
    assert_eq!(say(&server, b"").await?, []);
    server.logs("it said nothing within 200ms (handshake_timeout)").await?;
    let replies = say(&server, &PREFACE).await?;
    assert!(error(&replies).contains("the login was not done within 200ms"), "{replies:?}");
    server.logs("the login was not done").await.map(drop)
}

#[tokio::test]
async fn a_conversation_byte_by_byte() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut tab = gateway_tests::Client::connect(server.websocket).await?;
    let mut calls = Vec::new();
    for (seq, message) in (1..).zip(["one", "two", "three"]) {
        let order =
            Order::SendToClient { client: tab.id, message: Bytes::new(message.as_bytes()), raw: false };
        gateway_wire::bridge::Request { seq, call: gateway_wire::bridge::Call::Order(order) }
            .encode(&mut calls)?;
    }
    for byte in calls {
        php.write(&[byte]).await?;
        tokio::task::yield_now().await;
    }
    php.seq = 3;
    php.acked().await?;
    for message in ["one", "two", "three"] {
        assert_eq!(tab.text().await?, message);
    }
    Ok(())
}

#[tokio::test]
async fn names_that_are_empty_or_too_long_are_told_and_change_nothing() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let tab = gateway_tests::Client::connect(server.websocket).await?;
    let long = "u".repeat(MAX_NAME + 1);
    for (name, expected) in
        [("", "the uid is empty"), (&long, "the uid has 1025 bytes, more than the 1024 allowed")]
    {
        php.bind(tab.id, name).await?;
        assert_eq!(php.reply().await?, Reply::Error { seq: php.seq, message: expected.to_owned() });
        php.acked().await?;
    }
    php.bind(tab.id, &long[1..]).await?;
    assert_eq!(php.clients_of(&long[1..]).await?, [tab.id]);
    Ok(())
}

#[tokio::test]
async fn orders_sent_again_take_effect_once() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let producer = new_producer();
    let mut tab = gateway_tests::Client::connect(server.websocket).await?;
    let mut php = PhpPeer::connect_as(server.register[0], producer, b"").await?;
    php.bind(tab.id, "alice").await?;
    php.send_to_uid("alice", "first").await?;
    php.acked().await?;

    // The same process connects again while its old connection is half dead, and repeats the order that it has had no ack
    // for.
    let mut again = PhpPeer::connect_as(server.register[0], producer, b"").await?;
    assert_eq!((again.applied, again.instance), (2, php.instance));
    again.seq = 1;
    again.send_to_uid("alice", "first").await?;
    again.send_to_uid("alice", "second").await?;
    again.acked().await?;
    assert_eq!(tab.text().await?, "first");
    assert_eq!(tab.text().await?, "second");
    // The server has closed the old connection.
    assert!(php.count().await.is_err());

    // Another process has another producer id, of which the server has applied nothing.
    assert_eq!(PhpPeer::connect(server.register[0]).await?.applied, 0);
    Ok(())
}

#[tokio::test]
async fn a_unix_socket_serves_php_too() -> anyhow::Result<()> {
    let path = std::env::temp_dir().join(format!("gateway-test-{}.sock", std::process::id()));
    let flag = path.to_string_lossy().into_owned();
    let mut server = Server::start(&["--register-unix", &flag]).await?;
    assert_eq!(server.unix.as_deref(), Some(path.as_path()));
    let mut php = PhpPeer::connect_unix(&path).await?;
    let mut tab = gateway_tests::Client::connect(server.websocket).await?;
    php.send_to_all("over unix").await?;
    assert_eq!(tab.text().await?, "over unix");

    // A second server must not take the socket away from the first. The file that a killed server leaves must not keep the
    // next one from starting.
    let second = Server::start(&["--register-unix", &flag]).await;
    assert!(second.is_err(), "two servers on one unix socket");
    server.signal(nix::sys::signal::Signal::SIGKILL)?;
    server.exit().await?;
    let mut third = Server::start(&["--register-unix", &flag]).await?;
    PhpPeer::connect_unix(&path).await?;
    third.signal(nix::sys::signal::Signal::SIGTERM)?;
    third.exit().await?;
    assert!(!path.exists(), "the socket's file is left behind");
    Ok(())
}

#[tokio::test]
async fn what_comes_before_a_broken_frame_has_effect_and_is_acked() -> anyhow::Result<()> {
    // Without pings the shards do nothing else that would send what waits: the error itself has to do it.
    let server = Server::start(&["--ping-interval", "0"]).await?;
    let mut client = Client::connect(server.websocket).await?;
    let broken: [&[u8]; 3] = [&[0, 0, 0, 1, 0xc0], &[0xff; 4], &[0, 0, 0, 3, 0x92, 1, 250]];
    for (number, broken) in broken.into_iter().enumerate() {
        let mut php = PhpPeer::connect(server.register[0]).await?;
        let text = number.to_string();
        let message = Bytes::new(text.as_bytes());
        let mut bytes = Vec::new();
        let order = Order::SendToClient { client: client.id, message, raw: false };
        Request { seq: 1, call: Call::Order(order) }.encode(&mut bytes)?;
        bytes.extend_from_slice(broken);
        php.write(&bytes).await?;
        assert_eq!(client.text().await?, text);
        assert_eq!(php.reply().await?, Reply::Ack { seq: 1 });
        let Reply::Error { seq: 0, .. } = php.reply().await? else { panic!("no error") };
    }
    Ok(())
}

#[tokio::test]
async fn a_call_with_too_many_names_is_told_of_and_the_next_one_is_served() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let uids = vec![Bytes::new(b""); MAX_ELEMENTS];
    let mut bytes = Vec::new();
    Request { seq: 1, call: Call::Query(Query::AreUidsOnline { uids }) }.encode(&mut bytes)?;
    php.write(&bytes).await?;
    let Reply::Error { seq: 1, message } = php.reply().await? else { panic!("no error") };
    assert!(message.contains("more than 1048576 names or clients"), "{message}");
    php.seq = 1;
    php.count().await.map(drop)
}
