//! Proxies that say for whom they speak: the server believes the trusted ones and nobody else.

use std::net::SocketAddr;

use gateway_tests::{
    Client, Greeted, PhpPeer, PlainClient, Server, TestCertificate, WorkerPeer, connect_from, eventually,
    read_by_peer, soon,
};
use gateway_wire::bridge::AnswerValue;
use gateway_wire::gatewayworker::EventCommand;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Starts a server with a worker, which is told the addresses that clients come from.
async fn with_worker(flags: &[&str]) -> anyhow::Result<(Server, WorkerPeer)> {
    let mut server = Server::start(flags).await?;
    let worker = WorkerPeer::connect(server.register[0], "w:0").await?;
    server.logs("a worker joined").await?;
    Ok((server, worker))
}

/// Gives `$_SERVER['REMOTE_ADDR']` and `['REMOTE_PORT']` of the next client, as the worker is told.
async fn remote(worker: &mut WorkerPeer) -> anyhow::Result<(String, u16)> {
    let mut told = worker.told().await?;
    while told.kind != EventCommand::WebsocketConnect {
        told = worker.told().await?;
    }
    let body = String::from_utf8_lossy(&told.body).into_owned();
    let behind = |key: &str| body.split_once(&format!("\"{key}\";")).map(|(_, rest)| rest.to_owned());
    let address = behind("REMOTE_ADDR").unwrap_or_default();
    let port = behind("REMOTE_PORT").unwrap_or_default();
    let address = address.split('"').nth(1).unwrap_or_default().to_owned();
    let port = port.trim_start_matches("i:").split(';').next().unwrap_or_default().parse()?;
    Ok((address, port))
}

/// Opens a websocket on a connection that begins with this header.
async fn behind(header: &[u8], address: SocketAddr) -> anyhow::Result<Client> {
    let mut socket = soon("connecting", TcpStream::connect(address)).await??;
    socket.write_all(header).await?;
    Client::over(socket).await
}

/// Sends `bytes`, and gives everything that comes before the connection ends.
async fn answer(bytes: &[u8], address: SocketAddr) -> anyhow::Result<String> {
    let mut socket = soon("connecting", TcpStream::connect(address)).await??;
    socket.write_all(bytes).await?;
    let mut answer = Vec::new();
    // The connection may end by a reset as well as by an orderly close.
    let _ = soon("the end", socket.read_to_end(&mut answer)).await?;
    Ok(String::from_utf8(answer)?)
}

fn binary(command: u8, family: u8, rest: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(rest.len())?.to_be_bytes());
    header.extend(rest);
    Ok(header)
}

/// The address part of a binary header: the client 192.0.2.7 with port 4711, and two more fields (TLVs) behind it.
const FOUR: [u8; 22] = [192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x67, 1, 187, 4, 0, 2, 7, 7, 0x20, 0, 1, 9, 0];

#[tokio::test]
async fn both_versions_say_whom_the_proxy_speaks_for() -> anyhow::Result<()> {
    let (server, mut worker) = with_worker(&["--proxy-protocol"]).await?;
    let mut six = [0; 36];
    six[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    (six[15], six[33]) = (7, 99);
    let headers = [
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 443\r\n".to_vec(), "192.0.2.7", Some(4711)),
        (b"PROXY TCP6 2001:db8::7 ::1 99 443\r\n".to_vec(), "2001:db8::7", Some(99)),
        (b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n".to_vec(), "127.0.0.1", None),
        (binary(0x21, 0x11, &FOUR)?, "192.0.2.7", Some(4711)),
        (binary(0x21, 0x21, &six)?, "2001:db8::7", Some(99)),
        (binary(0x20, 0x00, &[])?, "127.0.0.1", None),
        (binary(0x20, 0x11, &FOUR)?, "127.0.0.1", None),
        (binary(0x21, 0x11, &[&FOUR[..], &[0; 4000]].concat())?, "192.0.2.7", Some(4711)),
    ];
    for (header, address, port) in headers {
        let mut socket = soon("connecting", TcpStream::connect(server.websocket)).await??;
        // The request may come in the same packet as the header.
        socket.write_all(&[&header, REQUEST.as_bytes(), b"\r\n"].concat()).await?;
        let mut answer = [0; 12];
        soon("an answer", socket.read_exact(&mut answer)).await??;
        assert_eq!(&answer, b"HTTP/1.1 101");
        let own = socket.local_addr()?.port();
        assert_eq!(remote(&mut worker).await?, (address.to_owned(), port.unwrap_or(own)));
    }
    Ok(())
}

#[tokio::test]
async fn headers_come_in_pieces_and_before_tls() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let flags = certificate.flags();
    let (server, mut worker) = with_worker(&[
        "--handshake-timeout",
        "120",
        "--proxy-protocol",
        &flags[0],
        &flags[1],
        &flags[2],
        &flags[3],
    ])
    .await?;
    let line = b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 443\r\n".to_vec();
    for header in [line, binary(0x21, 0x11, &FOUR)?] {
        let mut socket = soon("connecting", TcpStream::connect(server.websocket)).await??;
        socket.set_nodelay(true)?;
        for byte in header {
            socket.write_all(&[byte]).await?;
            read_by_peer(&socket).await?;
        }
        let mut stream = certificate.over(socket).await?;
        stream.write_all(format!("{REQUEST}\r\n").as_bytes()).await?;
        assert_eq!(remote(&mut worker).await?, ("192.0.2.7".to_owned(), 4711));
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_header_is_refused() -> anyhow::Result<()> {
    let mut server = Server::start(&["--proxy-protocol", "--handshake-timeout", "5"]).await?;
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
    let request = format!("{REQUEST}\r\n");
    let cases: [(&[u8], &str); 9] = [
        (request.as_bytes(), "it does not begin with a header of the PROXY protocol (proxy_protocol)"),
        (b"POST / HTTP/1.1\r\n\r\n", "it does not begin with a header"),
        (b"\x16\x03\x01", "it does not begin with a header"),
        (b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c", "it does not begin with a header"),
        (long.as_bytes(), "is over the limit of 107 bytes"),
        (b"PROXY TCP4 192.0.2.300 1.1.1.1 1 1\r\n", "is malformed"),
        (&binary(0x21, 0x11, &[1; 4097])?, "is over the limit of 4096 bytes"),
        (&binary(0x21, 0x11, &FOUR[..11])?, "is malformed"),
        (&binary(0x31, 0x11, &FOUR)?, "is malformed"),
    ];
    for (bytes, reason) in cases {
        assert_eq!(answer(bytes, server.websocket).await?, "");
        let line = server.logs("refused a connection for what its proxy says").await?;
        assert!(line.contains(reason), "{line} instead of {reason}");
    }
    Ok(())
}

#[tokio::test]
async fn a_header_that_does_not_come_ends_with_the_time_for_handshakes() -> anyhow::Result<()> {
    let mut server = Server::start(&["--proxy-protocol", "--handshake-timeout", "0.3"]).await?;
    let mut long = binary(0x21, 0x11, &[0; 4000])?;
    long.truncate(1000);
    for part in [&b""[..], b"P", b"PROXY TCP4 192.0.2.1 ", &long] {
        assert_eq!(answer(part, server.websocket).await?, "");
        server.logs("no handshake within").await?;
    }
    Ok(())
}

#[tokio::test]
async fn headers_of_those_who_are_not_trusted_are_refused() -> anyhow::Result<()> {
    let mut server =
        Server::start(&["--proxy-protocol", "--trusted-proxies", "10.0.0.0/8,127.0.0.2"]).await?;
    let header = b"PROXY TCP4 127.0.0.2 127.0.0.1 4711 443\r\n";
    assert_eq!(answer(header, server.websocket).await?, "");
    server.logs("it is not one of trusted_proxies").await?;
    let mut trusted = connect_from("127.0.0.2", server.websocket).await?;
    trusted.write_all(b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 443\r\n").await?;
    Client::over(trusted).await?.leave().await
}

#[tokio::test]
async fn listeners_of_other_protocols_know_it_too() -> anyhow::Result<()> {
    let (server, mut worker) = with_worker(&[
        "--proxy-protocol",
        "--listener",
        "text://127.0.0.1:0",
        "--max-connections-per-address",
        "1",
    ])
    .await?;
    let header = b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 443\r\n";
    let mut text = PlainClient::connect(server.listeners[0]).await?;
    text.write(&[&header[..], b"hello\n"].concat()).await?;
    worker.told_of(EventCommand::Connect).await?;
    assert_eq!(worker.message().await?.1, "hello");
    let mut more = PlainClient::connect(server.listeners[0]).await?;
    more.write(header).await?;
    more.ended().await
}

#[tokio::test]
async fn the_limit_for_an_address_counts_clients_and_not_their_proxy() -> anyhow::Result<()> {
    let mut server = Server::start(&["--proxy-protocol", "--max-connections-per-address", "2"]).await?;
    let line = |address: &str| format!("PROXY TCP4 {address} 127.0.0.1 4711 443\r\n").into_bytes();
    let mut clients = Vec::new();
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"] {
        clients.push(behind(&line(address), server.websocket).await?);
    }
    let request = [&line("192.0.2.1"), REQUEST.as_bytes(), b"\r\n"].concat();
    let said = answer(&request, server.websocket).await?;
    assert!(said.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{said}");
    let logged = server.logs("refused a connection over the limit").await?;
    assert!(logged.contains("peer=\"192.0.2.1:4711\""), "{logged}");
    clients.remove(0).leave().await?;
    eventually("room again", true, async || Ok(behind(&line("192.0.2.1"), server.websocket).await.is_ok()))
        .await
}

#[tokio::test]
async fn forwarded_for_is_believed_of_trusted_proxies_alone() -> anyhow::Result<()> {
    let header = [("x-forwarded-for", "198.51.100.1, 192.0.2.7, 10.1.1.1")];
    for (trusted, expected) in [
        ("127.0.0.0/8,10.0.0.0/8", "192.0.2.7"),
        ("127.0.0.1", "10.1.1.1"),
        ("10.0.0.0/8", "127.0.0.1"),
        ("192.0.2.7,::1", "127.0.0.1"),
    ] {
        let (server, mut worker) = with_worker(&["--trusted-proxies", trusted]).await?;
        let _socket = Client::shake_hands(server.websocket, "/", &header).await?;
        assert_eq!(remote(&mut worker).await?.0, expected, "{trusted}");
    }
    let (server, mut worker) = with_worker(&[]).await?;
    let _socket = Client::shake_hands(server.websocket, "/", &header).await?;
    assert_eq!(remote(&mut worker).await?.0, "127.0.0.1");
    let (server, mut worker) = with_worker(&["--trusted-proxies", "127.0.0.1"]).await?;
    let header = [("forwarded", "for=198.51.100.1, for=\"[2001:db8::7]:4711\";proto=https")];
    let _socket = Client::shake_hands(server.websocket, "/", &header).await?;
    assert_eq!(remote(&mut worker).await?, ("2001:db8::7".to_owned(), 4711));
    Ok(())
}

#[tokio::test]
async fn who_writes_the_header_that_the_proxy_does_not_is_refused() -> anyhow::Result<()> {
    let mut server = Server::start(&["--trusted-proxies", "127.0.0.1"]).await?;
    let both = "X-Forwarded-For: 192.0.2.7\r\nForwarded: for=198.51.100.1\r\n";
    let said = answer(format!("{REQUEST}{both}\r\n").as_bytes(), server.websocket).await?;
    assert!(said.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{said}");
    assert!(said.ends_with("X-Forwarded-For and Forwarded disagree.\r\n"), "{said}");
    server.logs("X-Forwarded-For says 192.0.2.7, Forwarded says 198.51.100.1").await.map(drop)
}

#[tokio::test]
async fn clients_of_a_trusted_proxy_are_counted_one_by_one() -> anyhow::Result<()> {
    let flags = ["--trusted-proxies", "127.0.0.1", "--max-connections-per-address", "1"];
    let mut server = Server::start(&flags).await?;
    let by = |address: &'static str| [("x-forwarded-for", address)];
    let one = Greeted::connect(server.websocket, "/", &by("192.0.2.1")).await?;
    let _two = Greeted::connect(server.websocket, "/", &by("192.0.2.2")).await?;
    let request = format!("{REQUEST}X-Forwarded-For: 192.0.2.99, 192.0.2.1\r\n\r\n");
    let said = answer(request.as_bytes(), server.websocket).await?;
    assert!(said.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{said}");
    let logged = server.logs("refused a connection over the limit").await?;
    assert!(logged.contains("peer=\"192.0.2.1:0\""), "{logged}");
    one.client.leave().await?;
    eventually("room again", true, async || {
        Ok(Greeted::connect(server.websocket, "/", &by("192.0.2.1")).await.is_ok())
    })
    .await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    eventually("clients online", AnswerValue::Int(1), async || php.count().await).await
}

#[tokio::test]
async fn the_whole_limit_holds_before_a_header_has_come() -> anyhow::Result<()> {
    let server = Server::start(&["--proxy-protocol", "--max-connections", "2"]).await?;
    // The test cannot know which of the three connections the server accepts last and refuses.
    let said = (0..3).map(|_| Box::pin(answer(b"", server.websocket)));
    let (said, _, waiting) = soon("a refusal", futures_util::future::select_all(said)).await?;
    let said = said?;
    assert!(said.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{said}");
    drop(waiting);
    let line = b"PROXY UNKNOWN\r\n";
    eventually("room again", true, async || Ok(behind(line, server.websocket).await.is_ok())).await
}

#[tokio::test]
async fn wrong_networks_are_said_at_the_start() -> anyhow::Result<()> {
    let command = &mut tokio::process::Command::new(gateway_tests::server_binary()?);
    let output =
        soon("the end", command.args(["--trusted-proxies", "10.0.0.0/33"]).kill_on_drop(true).output());
    let said = String::from_utf8(output.await??.stderr)?;
    assert!(said.contains("\"10.0.0.0/33\" is no address or network"), "{said}");
    Ok(())
}
