//! The server's limits, and what it does to clients that exceed them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gateway_tests::{Client, PhpPeer, PlainClient, Server, connect_from, eventually, soon};
use gateway_wire::bridge::{AnswerValue, Order, Reply};
use nix::sys::signal::Signal;
use serde_bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

/// Sends a websocket request that must be refused, and gives the whole answer.
async fn refusal(address: SocketAddr, path: &str, headers: &str) -> anyhow::Result<String> {
    let mut socket = soon("connecting", TcpStream::connect(address)).await??;
    refusal_on(&mut socket, path, headers).await
}

/// Does the same on a connection whose client does not close its side.
async fn refusal_on(socket: &mut TcpStream, path: &str, headers: &str) -> anyhow::Result<String> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    soon("writing", socket.write_all(request.as_bytes())).await??;
    let mut answer = String::new();
    soon("the refusal", socket.read_to_string(&mut answer)).await??;
    Ok(answer)
}

/// Stops the server, and checks that it then logs `total` offences of this kind.
async fn counted(mut server: Server, offence: &str, total: usize) -> anyhow::Result<()> {
    server.signal(Signal::SIGTERM)?;
    server.logs(&format!("offence=\"{offence}\" total={total}")).await.map(drop)
}

async fn count(server: &Server, clients: i64) -> anyhow::Result<()> {
    let mut php = PhpPeer::connect(server.register[0]).await?;
    eventually("clients online", AnswerValue::Int(clients), async || php.count().await).await
}

#[tokio::test]
async fn only_pages_paths_and_hosts_that_are_allowed_get_a_websocket() -> anyhow::Result<()> {
    let server = Server::start(&[
        "--origins",
        "https://example.com,https://*.example.org",
        "--paths",
        "/chat/*",
        "--hosts",
        "localhost,push.example.com",
    ])
    .await?;
    let at = server.websocket;
    let host = "Host: push.example.com:443\r\n";
    let answer = refusal(at, "/chat/7", &format!("{host}Origin: https://example.net\r\n")).await?;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(answer.ends_with("Pages of this origin may not connect here.\r\n"), "{answer}");
    let answer = refusal(at, "/", &format!("{host}Origin: https://example.com\r\n")).await?;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    let answer = refusal(at, "/chat/7", "Host: evil.example\r\n").await?;
    assert!(answer.starts_with("HTTP/1.1 421 Misdirected Request\r\n"), "{answer}");

    for headers in
        [&[("host", "localhost"), ("origin", "https://a.example.org")][..], &[("host", "localhost")]]
    {
        Client::shake_hands(at, "/chat/7", headers).await?;
    }
    counted(server, "not-allowed", 3).await
}

#[tokio::test]
async fn a_refused_client_that_does_not_close_is_logged_by_its_own_reason() -> anyhow::Result<()> {
    let server = Server::start(&["--paths", "/chat/*"]).await?;
    let mut socket = soon("connecting", TcpStream::connect(server.websocket)).await??;
    let answer = refusal_on(&mut socket, "/", "").await?;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    counted(server, "not-allowed", 1).await
}

#[tokio::test]
async fn a_request_that_others_may_read_otherwise_is_refused() -> anyhow::Result<()> {
    let rules = ["--origins", "https://example.com", "--paths", "/chat/*", "--hosts", "example.com"];
    let server = Server::start(&rules).await?;
    let at = server.websocket;
    let host = "Host: example.com\r\n";
    let origin = "Origin: https://example.com\r\n";
    let with = |more: &str| format!("{host}{more}");
    let requests = [
        ("/chat/7", with("Host: evil.example\r\n")),
        ("/chat/7", with(&format!("{origin}Origin: https://evil.example\r\n"))),
        ("/chat/7", with("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n")),
        ("/chat/7", with("Sec-WebSocket-Version: 13\r\n")),
        ("/chat/7", with("Content-Length: 4\r\n")),
        ("/chat/7", with("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n")),
        ("http://evil.example/chat/7", with("")),
        ("http://example.com/chat/../admin", with("")),
        ("/chat/../admin", with("")),
        ("/chat/%2e%2E/admin", with("")),
        ("/chat/..%2Fadmin", with("")),
        ("*", with("")),
        // These header lines break HTTP's syntax.
        ("/chat/7", with("X-Folded: a\r\n b\r\n")),
        ("/chat/7", with("X-Nul: a\0b\r\n")),
        ("/chat/7", with("X-Space : a\r\n")),
        ("/chat/7", "Host : example.com\r\n".to_owned()),
    ];
    for (path, headers) in &requests {
        let answer = refusal(at, path, headers).await?;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path} {headers:?}: {answer}");
    }
    for path in ["/chat/7", "/chat/a..b", "http://example.com/chat/7"] {
        let mut socket = soon("connecting", TcpStream::connect(at)).await??;
        let request = format!(
            "GET {path} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{host}{origin}Content-Length: 0\r\n\r\n"
        );
        soon("writing", socket.write_all(request.as_bytes())).await??;
        let mut status = [0; 12];
        soon("the answer", socket.read_exact(&mut status)).await??;
        assert_eq!(&status, b"HTTP/1.1 101", "{path}");
    }
    // The last four requests are counted as another offence, because they are not HTTP.
    counted(server, "not-allowed", requests.len() - 4).await
}

#[tokio::test]
async fn a_listener_has_rules_of_its_own() -> anyhow::Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    let text = "websocket = \"127.0.0.1:0\"\npaths = [\"/one\"]\n[[listener]]\nprotocol = \"websocket\"\n\
                address = \"127.0.0.1:0\"\npaths = [\"/two\"]\n";
    std::fs::write(file.path(), text)?;
    let server = Server::start(&["--config", &file.path().display().to_string()]).await?;
    for (address, right, wrong) in [(server.websocket, "/one", "/two"), (server.listeners[0], "/two", "/one")]
    {
        Client::shake_hands(address, right, &[]).await?;
        let answer = refusal(address, wrong, "Host: x\r\n").await?;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_is_too_long_is_refused() -> anyhow::Result<()> {
    let server = Server::start(&["--max-request-bytes", "1024"]).await?;
    let cookie = |length| format!("Host: x\r\nCookie: {}\r\n", "c".repeat(length));
    let answer = refusal(server.websocket, "/", &cookie(1024)).await?;
    assert!(answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{answer}");
    Client::shake_hands(server.websocket, "/", &[("cookie", &"c".repeat(500))]).await.map(drop)
}

#[tokio::test]
async fn a_full_server_takes_nobody_until_somebody_leaves() -> anyhow::Result<()> {
    let server = Server::start(&["--max-connections", "2", "--listener", "text://127.0.0.1:0"]).await?;
    let one = Client::connect(server.websocket).await?;
    let two = PlainClient::connect(server.listeners[0]).await?;
    count(&server, 2).await?;
    let answer = refusal(server.websocket, "/", "Host: x\r\n").await?;
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\n"), "{answer}");
    let mut other = soon("connecting", TcpStream::connect(server.listeners[0])).await??;
    assert_eq!(soon("the end", other.read(&mut [0; 9])).await??, 0);

    one.leave().await?;
    eventually("there is room again", true, async || Ok(Client::connect(server.websocket).await.is_ok()))
        .await?;
    drop(two);
    server.signal(Signal::SIGTERM)?;
    Ok(())
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() -> anyhow::Result<()> {
    let server = Server::start(&["--max-connections-per-address", "2"]).await?;
    let _clients = (Client::connect(server.websocket).await?, Client::connect(server.websocket).await?);
    let answer = refusal(server.websocket, "/", "Host: x\r\n").await?;
    assert!(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nToo many connections from this address.\r\n"), "{answer}");
    Client::over(connect_from("127.0.0.2", server.websocket).await?).await?;
    counted(server, "full-for-address", 1).await
}

#[tokio::test]
async fn connections_that_come_too_fast_wait() -> anyhow::Result<()> {
    let server = Server::start(&["--handshakes-per-second", "4"]).await?;
    let start = Instant::now();
    for _ in 0..8 {
        Client::connect(server.websocket).await?;
    }
    // Four connections are accepted at once, and the other four during the next second.
    assert!(start.elapsed() > Duration::from_millis(900), "{:?}", start.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_client_that_sends_too_many_messages_is_closed() -> anyhow::Result<()> {
    // The rate is so low that even on a slow machine these messages come too fast for it.
    let server = Server::start(&["--messages-per-second", "0.2"]).await?;
    let mut quiet = Client::connect(server.websocket).await?;
    let mut noisy = Client::connect(server.websocket).await?;
    quiet.send(Message::text("one")).await?;
    for _ in 0..3 {
        noisy.send(Message::Ping(Default::default())).await?;
    }
    assert_eq!(noisy.closed().await?, (4429, "too many messages".to_owned()));
    count(&server, 1).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    php.order(Order::SendToClient { client: quiet.id, message: Bytes::new(b"still here"), raw: false })
        .await?;
    assert_eq!(quiet.text().await?, "still here");
    counted(server, "too-many-messages", 1).await
}

#[tokio::test]
async fn a_client_that_sends_too_many_bytes_is_closed() -> anyhow::Result<()> {
    let server = Server::start(&["--bytes-per-second", "1000"]).await?;
    let mut client = Client::connect(server.websocket).await?;
    client.send(Message::binary(vec![0; 4000])).await?;
    client.send(Message::binary(vec![0; 100_000])).await?;
    assert_eq!(client.closed().await?, (4429, "too many messages".to_owned()));
    Ok(())
}

#[tokio::test]
async fn php_is_told_when_a_client_is_in_too_many_groups() -> anyhow::Result<()> {
    let server = Server::start(&["--max-groups-per-client", "2", "--shards", "1"]).await?;
    let mut client = Client::connect(server.websocket).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    for group in ["one", "two", "one"] {
        php.order(Order::JoinGroup { client: client.id, group: Bytes::new(group.as_bytes()) }).await?;
    }
    php.acked().await?;
    let join = Order::JoinGroup { client: client.id, group: Bytes::new(b"three") };
    let seq = php.order(join.clone()).await?;
    let Reply::Error { seq: refused, message } = php.reply().await? else { anyhow::bail!("no error") };
    assert_eq!(refused, seq);
    assert_eq!(message, "the client is in 2 groups already, and in no more (max_groups_per_client)");

    php.order(Order::LeaveGroup { client: client.id, group: Bytes::new(b"one") }).await?;
    php.order(join).await?;
    let groups = [Bytes::new(b"three")].into_iter().collect();
    php.order(Order::SendToGroups { groups, message: Bytes::new(b"hi"), except: Vec::new(), raw: false })
        .await?;
    assert_eq!(client.text().await?, "hi");
    Ok(())
}

#[tokio::test]
async fn php_is_told_when_a_session_is_too_long() -> anyhow::Result<()> {
    let server = Server::start(&["--max-session-bytes", "100"]).await?;
    let client = Client::connect(server.websocket).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let session = |key: char| format!("a:1:{{s:1:\"{key}\";s:60:\"{}\";}}", "x".repeat(60)).into_bytes();
    let (one, two) = (session('a'), session('b'));
    php.order(Order::SetSession { client: client.id, session: Bytes::new(&one) }).await?;
    php.acked().await?;
    php.order(Order::UpdateSession { client: client.id, changes: Bytes::new(&two) }).await?;
    let Reply::Error { message, .. } = php.reply().await? else { anyhow::bail!("no error") };
    assert!(message.contains("more than the 100 allowed (max_session_bytes)"), "{message}");
    Ok(())
}

/// The first fragment of a message, masked with zeros, and a ping behind it.
fn fragment(length: u16) -> Vec<u8> {
    let mut bytes = vec![0x02, 0xfe];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.resize(bytes.len() + usize::from(length), b'x');
    bytes.extend(b"\x89\x80\0\0\0\0");
    bytes
}

#[tokio::test]
async fn messages_that_never_come_whole_take_so_much_and_no_more() -> anyhow::Result<()> {
    let server =
        Server::start(&["--shards", "1", "--max-message", "100000", "--max-unfinished-bytes", "1048576"])
            .await?;
    let mut longest = Client::connect(server.websocket).await?;
    longest.socket.get_mut().write_all(&fragment(60_000)).await?;
    let pong = soon("a pong", futures_util::StreamExt::next(&mut longest.socket)).await?;
    assert!(matches!(pong, Some(Ok(Message::Pong(_)))), "{pong:?}");
    // The pong shows that a fragment has been taken in before the next client sends one.
    let (mut clients, mut refused) = (Vec::new(), 0);
    for _ in 0..30 {
        let mut client = Client::connect(server.websocket).await?;
        client.socket.get_mut().write_all(&fragment(40_000)).await?;
        match soon("a pong", futures_util::StreamExt::next(&mut client.socket)).await? {
            Some(Ok(Message::Pong(_))) => clients.push(client),
            Some(Ok(Message::Close(_))) => refused += 1,
            other => anyhow::bail!("{other:?}"),
        }
    }
    // The client that held the most bytes was the first to be closed.
    assert_eq!(longest.closed().await?, (1013, "try again".to_owned()));
    // The clients that are still connected may finish their messages.
    let mut finished = 0;
    for client in &mut clients {
        if client.socket.get_mut().write_all(b"\x80\x80\0\0\0\0\x89\x80\0\0\0\0").await.is_ok() {
            let next = soon("an answer", futures_util::StreamExt::next(&mut client.socket)).await?;
            finished += usize::from(matches!(next, Some(Ok(Message::Pong(_)))));
        }
    }
    assert!((15..30).contains(&finished), "{finished} of 30, {refused} were refused");
    counted(server, "unfinished", 31 - finished).await
}
