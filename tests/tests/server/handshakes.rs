//! Requests for a websocket as browsers, devices and proxies write them: those that can be understood in only one way are
//! served, and the others are told why not. Each request is a file of tests/corpus/handshake.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use anyhow::Context as _;
use gateway_tests::{OriginalStack, Server, WorkerPeer, root, skip, soon};
use gateway_wire::gatewayworker::EventCommand;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The answer to each file: `101`, or a status and words of the sentence that explains it.
const ANSWERS: [(&str, &str); 45] = [
    ("absolute-uri", "400 several ways"),
    ("asterisk", "400 several ways"),
    ("connection-missing", "426 a proxy in between has to pass both on"),
    ("connection-of-many-words", "101"),
    ("connection-on-two-lines", "101"),
    ("frames-behind", "101"),
    ("half-a-frame-behind", "101"),
    ("header-folded", "400 not as HTTP/1.1 has it"),
    ("header-name-empty", "400 not as HTTP/1.1 has it"),
    ("header-value-not-utf8", "101"),
    ("header-without-colon", "400 not as HTTP/1.1 has it"),
    ("headers-1001", "431 too many headers"),
    ("headers-200", "101"),
    ("http-0.9", "400 not as HTTP/1.1 has it"),
    ("http-1.0", "101"),
    ("http-1.0-of-an-old-proxy", "101"),
    ("http-2-preface", "505 by HTTP/1.1 here"),
    ("key-empty", "101"),
    ("key-missing", "400 no header Sec-WebSocket-Key"),
    ("line-feeds-alone", "101"),
    ("many-headers", "101"),
    ("not-http", "400 not as HTTP/1.1 has it"),
    ("nul-in-header", "400 not as HTTP/1.1 has it"),
    ("offers-empty", "101"),
    ("offers-of-all-kinds", "101"),
    ("path-not-ascii", "101"),
    ("path-with-percent", "101"),
    ("plain-page", "426 This is a websocket port"),
    ("post", "405 by GET"),
    ("query-not-utf8", "101"),
    ("query-of-gbk", "101"),
    ("query-of-json", "101"),
    ("query-with-space", "400 not as HTTP/1.1 has it"),
    ("subprotocols", "101"),
    ("tls-hello", "400 not as HTTP/1.1 has it"),
    ("token-that-nobody-can-read", "101"),
    ("two-keys", "400 several ways"),
    ("two-versions", "400 several ways"),
    ("upgrade-missing", "426 a proxy in between has to pass both on"),
    ("upgrade-of-several-values", "101"),
    ("upgrade-on-two-lines", "101"),
    ("version-8", "426 This is a websocket port"),
    ("version-missing", "400 no header Sec-WebSocket-Version"),
    ("window-bits", "101"),
    ("window-bits-too-small", "101"),
];

/// The requests that GatewayWorker serves and our server refuses: a proxy or a rule may understand them otherwise, or no
/// websocket can follow because no proxy on the way was asked to pass the upgrade on, or they are cut off at a space.
const SERVED_BY_GATEWAYWORKER_ALONE: [&str; 12] = [
    "absolute-uri",
    "asterisk",
    "connection-missing",
    "header-folded",
    "header-name-empty",
    "header-without-colon",
    "headers-1001",
    "nul-in-header",
    "query-with-space",
    "two-keys",
    "two-versions",
    "upgrade-missing",
];

fn corpus() -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let entries = std::fs::read_dir(root().join("tests/corpus/handshake"))?;
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?))
    };
    entries.map(read).collect()
}

fn file(name: &str) -> anyhow::Result<Vec<u8>> {
    corpus()?.remove(name).with_context(|| format!("{name} is not in the corpus"))
}

/// Sends a request, and gives the socket and the answer: only the head of a 101, and the whole of a refusal.
async fn ask(address: SocketAddr, request: &[u8]) -> anyhow::Result<(TcpStream, String)> {
    let mut socket = soon("connecting", TcpStream::connect(address)).await??;
    soon("writing", socket.write_all(request)).await??;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") || !answer.starts_with(b"HTTP/1.1 101 ") {
        match soon("an answer", socket.read_u8()).await? {
            Ok(byte) => answer.push(byte),
            Err(_) => break,
        }
    }
    Ok((socket, String::from_utf8(answer)?))
}

/// Joins as a worker, and waits until the server knows of it.
async fn join(server: &mut Server) -> anyhow::Result<WorkerPeer> {
    let worker = WorkerPeer::connect(server.register[0], "worker").await?;
    server.logs("a worker joined").await?;
    Ok(worker)
}

#[tokio::test]
async fn each_is_served_or_told_why_not() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let corpus = corpus()?;
    let names: BTreeSet<_> = corpus.keys().map(String::as_str).collect();
    assert_eq!(names, ANSWERS.into_iter().map(|(name, _)| name).collect());
    for (name, expected) in ANSWERS {
        let (_, answer) = ask(server.websocket, &corpus[name]).await.context(name)?;
        let (status, sentence) = expected.split_once(' ').unwrap_or((expected, ""));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
        assert!(answer.contains(sentence), "{name}: {answer}");
    }
    // By RFC 6455 4.4, a client that speaks another version is told which version the server speaks.
    for name in ["version-missing", "two-versions"] {
        let request = String::from_utf8(file(name)?)?.replace("Version: 13\r\n", "Version: 7\r\n");
        let request = request.replace("Sec-WebSocket-Version: 8\r\n", "");
        let (_, answer) = ask(server.websocket, request.as_bytes()).await?;
        assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{name}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn what_gatewayworker_serves_is_served() -> anyhow::Result<()> {
    if let Some(reason) = OriginalStack::missing() {
        skip("what_gatewayworker_serves_is_served", &reason);
        return Ok(());
    }
    let stack = OriginalStack::start().await?;
    let mut served = BTreeSet::new();
    for (name, request) in corpus()? {
        let mut socket = soon("connecting", TcpStream::connect(stack.websocket)).await??;
        soon("writing", socket.write_all(&request)).await??;
        // The original waits for more input when it does not understand a request, so the client ends its side.
        socket.shutdown().await?;
        let mut answer = Vec::new();
        let _ = soon("the end", socket.read_to_end(&mut answer)).await?;
        if answer.starts_with(b"HTTP/1.1 101 ") {
            served.insert(name);
        }
    }
    let ours: BTreeSet<_> =
        ANSWERS.into_iter().filter(|(_, answer)| *answer == "101").map(|(name, _)| name.to_owned()).collect();
    let alone: BTreeSet<_> = SERVED_BY_GATEWAYWORKER_ALONE.map(str::to_owned).into();
    assert_eq!(served.difference(&ours).cloned().collect::<BTreeSet<_>>(), alone);
    // The original recognises the end of a request only by two CRLFs.
    let ours_alone = BTreeSet::from(["line-feeds-alone".to_owned()]);
    assert_eq!(ours.difference(&served).cloned().collect::<BTreeSet<_>>(), ours_alone);
    Ok(())
}

#[tokio::test]
async fn a_target_comes_to_php_byte_by_byte() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    let mut worker = join(&mut server).await?;
    for (name, parts) in [
        ("query-of-json", &[&br#"s:12:"QUERY_STRING";s:31:"data={"uid":1,"tags":["a","b"]}";"#[..]][..]),
        (
            "query-not-utf8",
            &[b"s:11:\"REQUEST_URI\";s:13:\"/?name=\xff\xfe&x=1\";", b"s:4:\"name\";s:2:\"\xff\xfe\";"],
        ),
        ("query-of-gbk", &[b"s:4:\"name\";s:4:\"\xc4\xe3\xba\xc3\";"]),
        ("http-1.0-of-an-old-proxy", &[b"s:15:\"SERVER_PROTOCOL\";s:8:\"HTTP/1.0\";", b"\"/chat?room=7\""]),
    ] {
        let (socket, _) = ask(server.websocket, &file(name)?).await?;
        worker.told_of(EventCommand::Connect).await?;
        let handshake = worker.told_of(EventCommand::WebsocketConnect).await?.body;
        for part in parts {
            let stands = handshake.windows(part.len()).any(|bytes| bytes == *part);
            assert!(stands, "{name}: {}", String::from_utf8_lossy(&handshake));
        }
        drop(socket);
        worker.told_of(EventCommand::Close).await?;
    }
    Ok(())
}

#[tokio::test]
async fn frames_right_behind_a_request_are_heard() -> anyhow::Result<()> {
    for flags in [&["--deflate"][..], &[]] {
        let mut server = Server::start(flags).await?;
        let mut worker = join(&mut server).await?;
        let (mut socket, _) = ask(server.websocket, &file("frames-behind")?).await?;
        worker.told_of(EventCommand::Connect).await?;
        assert_eq!(worker.message().await?.1, "first");
        assert_eq!(worker.message().await?.1, "second");
        let mut pong = [0; 6];
        soon("the pong", socket.read_exact(&mut pong)).await??;
        assert_eq!(&pong, b"\x8a\x04ping");

        // Here the rest of a frame comes later than the request.
        let (mut socket, _) = ask(server.websocket, &file("half-a-frame-behind")?).await?;
        worker.told_of(EventCommand::Connect).await?;
        let whole = file("frames-behind")?;
        let start = file("half-a-frame-behind")?.len();
        soon("writing", socket.write_all(&whole[start..])).await??;
        assert_eq!(worker.message().await?.1, "first");
        assert_eq!(worker.message().await?.1, "second");
    }
    Ok(())
}

#[tokio::test]
async fn a_subprotocol_is_the_first_of_the_client_that_is_spoken() -> anyhow::Result<()> {
    let request = String::from_utf8(file("line-feeds-alone")?)?.trim_end().to_owned();
    let chosen = async |address, offers: &str| {
        let request = format!("{request}\nSec-WebSocket-Protocol: {offers}\n\n");
        let (_, answer) = ask(address, request.as_bytes()).await?;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let line = answer.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
        anyhow::Ok(line.map(str::to_owned))
    };
    let file = tempfile::NamedTempFile::new()?;
    let text = "websocket = \"127.0.0.1:0\"\nsubprotocols = [\"wamp\", \"mqtt\"]\n[[listener]]\n\
                protocol = \"websocket\"\naddress = \"127.0.0.1:0\"\nsubprotocols = [\"v12.stomp\"]\n";
    std::fs::write(file.path(), text)?;
    let server = Server::start(&["--config", &file.path().display().to_string()]).await?;
    let (at, other) = (server.websocket, server.listeners[0]);
    assert_eq!(chosen(at, "mqtt, wamp").await?.as_deref(), Some("mqtt"));
    assert_eq!(chosen(at, "mqttv3.1, wamp").await?.as_deref(), Some("wamp"));
    assert_eq!(chosen(at, "gateway, mqtt").await?.as_deref(), Some("gateway"));
    assert_eq!(chosen(at, "soap").await?, None);
    assert_eq!(chosen(other, "mqtt, v12.stomp").await?.as_deref(), Some("v12.stomp"));
    // Without the setting the server speaks only one subprotocol: the one in which a client sends its connect token.
    let server = Server::start(&[]).await?;
    assert_eq!(chosen(server.websocket, "mqtt, gateway").await?.as_deref(), Some("gateway"));
    assert_eq!(chosen(server.websocket, "mqtt").await?, None);
    Ok(())
}

/// The frames behind the request are more bytes than the server reads at once, and more than it allows for a request.
#[tokio::test]
async fn many_frames_right_behind_a_request_are_heard() -> anyhow::Result<()> {
    const FRAMES: usize = 30_000;
    let mut server = Server::start(&["--max-request-bytes", "1048576"]).await?;
    let mut worker = join(&mut server).await?;
    let request = file("half-a-frame-behind")?;
    let request = String::from_utf8(request[..request.len() - 4].to_vec())?;
    // Behind a long request many frames are read together with it: more than a shard reads at once.
    let header = format!("\r\nX: {}", "y".repeat(600));
    let long = request.replace("\r\n\r\n", &format!("{}\r\n\r\n", header.repeat(900)));
    let frame = |number: usize| [&b"\x81\x85\0\0\0\0"[..], format!("{number:05}").as_bytes()].concat();
    let frames: Vec<u8> = (0..FRAMES).flat_map(frame).collect();
    for request in [request, long] {
        let all = [request.as_bytes(), &frames].concat();
        let client = ask(server.websocket, &all).await?;
        worker.told_of(EventCommand::Connect).await?;
        for number in 0..FRAMES {
            assert_eq!(worker.message().await?.1, format!("{number:05}"));
        }
        drop(client);
        worker.told_of(EventCommand::Close).await?;
    }
    Ok(())
}
