//! permessage-deflate: messages are compressed for the clients that ask for it, and plain for the others.

use flate2::{Decompress, FlushDecompress};
use gateway_tests::{Client, PhpPeer, Server, soon};
use gateway_wire::ClientId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A client that speaks the extension; the tests see the bytes of its frames.
struct Deflating {
    socket: TcpStream,
    answer: String,
    id: ClientId,
}

impl Deflating {
    async fn connect(server: &Server) -> anyhow::Result<Self> {
        Self::connect_as(server, "a test").await
    }

    async fn connect_as(server: &Server, user_agent: &str) -> anyhow::Result<Self> {
        let mut socket = TcpStream::connect(server.websocket).await?;
        let request = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            User-Agent: {user_agent}\r\n\
            Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(soon("the answer", socket.read_u8()).await??);
        }
        let mut client =
            Self { socket, answer: String::from_utf8(answer)?, id: ClientId::from_bytes([0; 10]) };
        let (first, init) = client.frame().await?;
        assert_eq!(first, 0x81, "it is too short to be compressed");
        let init: serde_json::Value = serde_json::from_slice(&init)?;
        client.id = init["client_id"].as_str().unwrap_or_default().parse()?;
        Ok(client)
    }

    /// Reads a frame, and gives its first byte and its payload as it was sent, so possibly compressed.
    async fn frame(&mut self) -> anyhow::Result<(u8, Vec<u8>)> {
        soon("a frame", async {
            let first = self.socket.read_u8().await?;
            let length = match self.socket.read_u8().await? {
                126 => self.socket.read_u16().await?.into(),
                127 => self.socket.read_u64().await?,
                length => u64::from(length),
            };
            let mut payload = vec![0; length.try_into()?];
            self.socket.read_exact(&mut payload).await?;
            Ok((first, payload))
        })
        .await?
    }

    async fn send(&mut self, first: u8, payload: &[u8]) -> anyhow::Result<()> {
        // The frame is masked with zeros, so that the payload stays as it is.
        let head = [first, 0x80 | u8::try_from(payload.len())?, 0, 0, 0, 0];
        Ok(self.socket.write_all(&[&head, payload].concat()).await?)
    }
}

fn inflate(payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1 << 20);
    let whole = [payload, &[0, 0, 0xff, 0xff]].concat();
    Decompress::new(false).decompress_vec(&whole, &mut out, FlushDecompress::Sync)?;
    Ok(out)
}

#[tokio::test]
async fn each_client_gets_what_it_understands() -> anyhow::Result<()> {
    let server = Server::start(&["--deflate"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut plain = Client::connect(server.websocket).await?;
    let mut deflating = [Deflating::connect(&server).await?, Deflating::connect(&server).await?];
    for client in &deflating {
        assert!(
            client
                .answer
                .contains("permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n")
        );
        php.bind(client.id, "all").await?;
    }
    php.bind(plain.id, "all").await?;

    // Messages are sent one at a time and in a burst, short and long ones.
    let messages: Vec<String> = (0..200).map(|i| format!("message {i} ").repeat(1 + i % 40)).collect();
    for message in &messages {
        php.send_to_uid("all", message).await?;
    }
    php.acked().await?;
    for message in &messages {
        assert_eq!(plain.text().await?, *message);
    }
    for client in &mut deflating {
        let mut compressed = 0;
        for message in &messages {
            let (first, payload) = client.frame().await?;
            let text = match first {
                0xc1 => {
                    compressed += 1;
                    assert!(payload.len() < message.len());
                    inflate(&payload)?
                }
                0x81 => payload,
                other => anyhow::bail!("a frame of {other:#x}"),
            };
            assert_eq!(text, message.as_bytes());
        }
        assert!(compressed > 100, "{compressed} of {}", messages.len());
    }
    Ok(())
}

#[tokio::test]
async fn compressed_messages_are_taken_and_checked() -> anyhow::Result<()> {
    let server = Server::start(&["--deflate", "--max-message", "1000"]).await?;
    let mut client = Deflating::connect(&server).await?;
    // This is "Hello" compressed. The pong to the ping behind it shows that the message was accepted.
    client.send(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00").await?;
    client.send(0x89, b"ping").await?;
    assert_eq!(client.frame().await?, (0x8a, b"ping".to_vec()));
    client.send(0xc1, b"\xff\xff").await?;
    assert_eq!(client.frame().await?, (0x88, b"\x03\xeaprotocol error".to_vec()));

    // This message is small, but becomes 20,000 zeros: twenty times what the server accepts.
    let mut bomber = Deflating::connect(&server).await?;
    let bomb = {
        let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
        let mut out = Vec::with_capacity(1000);
        compress.compress_vec(&[0; 20_000], &mut out, flate2::FlushCompress::Sync)?;
        out.truncate(out.len() - 4);
        out
    };
    bomber.send(0xc2, &bomb).await?;
    assert_eq!(bomber.frame().await?, (0x88, b"\x03\xf1message too big".to_vec()));
    Ok(())
}

/// Safari 15.0 to 15.3 compress a message with reference to earlier ones even if they have agreed not to, so the server
/// agrees to no compression with them.
#[tokio::test]
async fn a_safari_that_keeps_its_context_goes_without() -> anyhow::Result<()> {
    let server = Server::start(&["--deflate"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let safari = |version: &str| {
        format!(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
            Version/{version} Safari/605.1.15"
        )
    };
    let mut broken = Deflating::connect_as(&server, &safari("15.2")).await?;
    assert!(!broken.answer.contains("Extensions"), "{}", broken.answer);
    let mut sound = Deflating::connect_as(&server, &safari("15.4")).await?;
    assert!(sound.answer.contains("permessage-deflate"), "{}", sound.answer);
    php.send_to_all(&"x".repeat(100)).await?;
    assert_eq!(broken.frame().await?, (0x81, vec![b'x'; 100]));
    assert_eq!(sound.frame().await?.0, 0xc1);
    Ok(())
}

#[tokio::test]
async fn without_the_setting_there_is_none() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut client = Deflating::connect(&server).await?;
    assert!(!client.answer.contains("Extensions"), "{}", client.answer);
    php.send_to_all(&"x".repeat(100)).await?;
    assert_eq!(client.frame().await?, (0x81, vec![b'x'; 100]));
    client.send(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00").await?;
    assert_eq!(client.frame().await?, (0x88, b"\x03\xeaprotocol error".to_vec()));
    Ok(())
}
