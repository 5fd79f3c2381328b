//! Anything that clients may send: nothing panics, and the result does not depend on the pieces in which it comes.

use std::pin::Pin;
use std::task::{Context, Poll};

use flate2::{Compress, Compression, FlushCompress};
use gateway_server::listener::{
    ClientRegistry, Newcomer, Refusal, Resumption, Rules, TokenVerifier, upgrade,
};
use gateway_server::net::proxy_protocol::take_header as take_proxy_header;
use gateway_server::protocol;
use gateway_server::protocol::websocket::{Incoming, Inflater, MessageKind, message};
use gateway_server::protocol::{Decoder, Encoding, PartialMessage, Violation};
use gateway_server::service::NotFound;
use gateway_tests::{Rng, fuzz};
use gateway_wire::ClientId;
use gateway_wire::client_protocol::{GapReason, ResumeOffer, ResumeSecret, ServerEnd, Text, escape};
use gateway_wire::token::{Claims, TokenKey};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::Request;

use crate::parts;

const LIMIT: usize = 300;
/// The limit for compressed messages. It is larger because short ones are only stored, not compressed.
const INFLATED_LIMIT: usize = 256 << 10;

/// The messages that a client sent, and the violation by which it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    messages: Vec<(Option<MessageKind>, Vec<u8>)>,
    violation: Option<Violation>,
}

fn hear<'a>(encoding: Encoding, pieces: impl IntoIterator<Item = &'a [u8]>) -> Heard {
    hear_within(LIMIT, encoding, pieces)
}

fn hear_within<'a>(
    max_message: usize,
    encoding: Encoding,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Heard {
    hear_by(usize::MAX, max_message, encoding, pieces)
}

/// Decodes the pieces; compressed messages are inflated by `share` bytes at a time.
fn hear_by<'a>(
    share: usize,
    max_message: usize,
    encoding: Encoding,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Heard {
    let mut inflater = Inflater::default();
    let mut partial: Option<PartialMessage> = None;
    let mut heard = Heard::default();
    let mut is_closed = false;
    for piece in pieces {
        let mut input = piece.to_vec();
        loop {
            inflater.allow(share, true);
            let mut decoder = Decoder { encoding, max_message, inflater: &mut inflater };
            let messages = &mut heard.messages;
            let result = decoder.decode(&mut input, &mut partial, |incoming| match incoming {
                Incoming::Message(kind, message) => messages.push((Some(kind), message.to_vec())),
                Incoming::Ping(payload) => messages.push((None, payload.to_vec())),
                Incoming::Pong | Incoming::Fragment => {}
                Incoming::Close(_) => is_closed = true,
            });
            heard.violation = result.err();
            // The server does not read on after a violation or a close.
            if heard.violation.is_some() || is_closed {
                return heard;
            }
            input.clear();
            if !partial.as_ref().is_some_and(PartialMessage::is_behind) {
                break;
            }
        }
    }
    heard
}

/// A client's frame, with its mask.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 0x1_0000.. => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn websocket_corpus() -> Vec<Vec<u8>> {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let frames = [
        masked(0x81, "grüß".as_bytes()),
        [masked(0x01, b"one "), masked(0x89, b"ping"), masked(0x00, b"two"), masked(0x80, b"")].concat(),
        masked(0x82, &[b'l'; 200]),
        masked(0x8a, b""),
        [masked(0xc1, hello), masked(0x41, &hello[..3]), masked(0x80, &hello[3..])].concat(),
        masked(0x88, b"\x03\xe8bye"),
    ];
    let all = frames.concat();
    frames.into_iter().chain([all]).collect()
}

fn in_any_pieces(encoding: Encoding) -> impl Fn(&[u8], &mut Rng) {
    move |input, rng| {
        let whole = hear(encoding, [input]);
        assert!(whole.messages.iter().all(|(_, message)| message.len() <= LIMIT));
        assert_eq!(hear(encoding, rng.pieces(input)), whole);
    }
}

#[test]
fn websocket() {
    fuzz("websocket", &websocket_corpus(), in_any_pieces(Encoding::Websocket));
}

#[test]
fn websocket_with_compression() {
    fuzz("websocket with compression", &websocket_corpus(), in_any_pieces(Encoding::Deflated));
}

/// The whole input is one compressed message.
#[test]
fn inflate() {
    let mut compressed = Vec::new();
    for payload in [&b"hello hello hello hello"[..], &[b'x'; 5000], &[0; INFLATED_LIMIT + 1]] {
        let mut deflate = Compress::new(Compression::fast(), false);
        let mut out = Vec::with_capacity(5000);
        let Ok(_) = deflate.compress_vec(payload, &mut out, FlushCompress::Sync) else { continue };
        out.truncate(out.len().saturating_sub(4));
        compressed.push(out);
    }
    fuzz("inflate", &compressed, |input, rng| {
        let frame = masked(0xc2, input);
        let whole = hear_within(INFLATED_LIMIT, Encoding::Deflated, [&frame[..]]);
        assert!(whole.messages.iter().all(|(_, message)| message.len() <= INFLATED_LIMIT));
        let (one, other) = frame.split_at(rng.below(frame.len()));
        assert_eq!(hear_within(INFLATED_LIMIT, Encoding::Deflated, [one, other]), whole);
        let share = 1 + rng.below(INFLATED_LIMIT);
        assert_eq!(hear_by(share, INFLATED_LIMIT, Encoding::Deflated, [one, other]), whole);
    });
}

#[test]
fn text() {
    let corpus = [b"one\r\ntwo\n\n\r\nthr\ree\r\r\n".to_vec(), [&[b'x'; 290][..], b"\n"].concat()];
    fuzz("text", &corpus, in_any_pieces(Encoding::Text));
}

#[test]
fn frame() {
    let corpus = [b"\0\0\0\x07one\0\0\0\x04\0\0\0\x08t\nwo".to_vec(), b"\0\0\0\x05x".to_vec()];
    fuzz("frame", &corpus, in_any_pieces(Encoding::Frame));
}

#[test]
fn tcp_loses_nothing() {
    fuzz("tcp", &[b"any bytes".repeat(50)], |input, rng| {
        let pieces = rng.pieces(input);
        let heard = hear(Encoding::Tcp, pieces.iter().copied());
        assert_eq!(heard.violation, None);
        assert!(heard.messages.iter().all(|(_, message)| message.len() <= LIMIT));
        let all: Vec<u8> = heard.messages.into_iter().flat_map(|(_, message)| message).collect();
        assert_eq!(all, input);
    });
}

/// A message that the server has encoded for a client is decoded to the same when a client sends it.
#[test]
fn what_is_encoded_is_decoded() {
    let corpus = [b"hello".to_vec(), "grüß".as_bytes().to_vec(), vec![b'x'; 126], Vec::new()];
    fuzz("encoding", &corpus, |input, rng| {
        let input = &input[..input.len().min(LIMIT)];
        let frame = protocol::message(Encoding::Frame, MessageKind::Text, input);
        assert_eq!(
            hear(Encoding::Frame, rng.pieces(&frame)).messages,
            [(Some(MessageKind::Binary), input.to_vec())]
        );
        // A message of the server is not masked, so its frame ends with the payload itself.
        let server = message(MessageKind::Binary, input);
        assert!(server.ends_with(input));
        let heard = hear(Encoding::Websocket, rng.pieces(&masked(0x82, input)));
        assert_eq!(heard.messages, [(Some(MessageKind::Binary), input.to_vec())]);
        if !input.contains(&b'\n') && !input.ends_with(b"\r") {
            let line = protocol::message(Encoding::Text, MessageKind::Text, input);
            assert_eq!(
                hear(Encoding::Text, rng.pieces(&line)).messages,
                [(Some(MessageKind::Binary), input.to_vec())]
            );
        }
    });
}

/// A socket that gives its input in pieces and keeps what is written to it.
struct Socket<'a> {
    pieces: Vec<&'a [u8]>,
    written: Vec<u8>,
}

impl AsyncRead for Socket<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if let Some(piece) = self.pieces.first_mut() {
            let (now, later) = piece.split_at(piece.len().min(buffer.remaining()));
            buffer.put_slice(now);
            *piece = later;
            if later.is_empty() {
                self.pieces.remove(0);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A server on which one client may come back: the one with this secret, whose uid is 42.
struct OneClient(ResumeSecret);

impl OneClient {
    fn new() -> Self {
        Self(ResumeSecret::new(ClientId::from_bytes([7; ClientId::BYTES]), [0xab; 16]))
    }
}

impl ClientRegistry for OneClient {
    async fn find(&self, offer: &ResumeOffer) -> Result<Option<bytes::Bytes>, NotFound> {
        if offer.secret == self.0 { Ok(Some("42".into())) } else { Err(GapReason::Unknown.into()) }
    }

    fn has_slot(&self, offer: &ResumeOffer) -> bool {
        offer.secret == self.0
    }

    async fn disown(&self, offer: &ResumeOffer) {
        assert_eq!(offer.secret, self.0);
    }
}

/// A peer for whom there is room.
struct Anybody;

impl Newcomer for Anybody {
    fn admit(&mut self, _request: &Request) -> Result<Option<Refusal>, Refusal> {
        Ok(None)
    }

    fn may_show_secret(&self) -> bool {
        true
    }

    fn has_shown_wrong_secret(&self) {}

    async fn may_find_room(&self, _full: &Refusal) -> bool {
        false
    }

    async fn make_room(&mut self) -> Result<(), Refusal> {
        Ok(())
    }
}

#[test]
fn handshake() {
    let corpus = [
        "GET /chat?room=7 HTTP/1.1\r\nHost: example.org\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: a=1; b=2\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "GET /?resume=0&seen=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: gateway.2, gateway\r\n\r\n",
    ]
    .map(|request| request.as_bytes().to_vec());
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
        panic!("a runtime needs no more than a thread");
    };
    let settings = parts::settings("deflate = true");
    let shaken = |pieces: Vec<&[u8]>| {
        let mut socket = Socket { pieces, written: Vec::new() };
        let result = runtime.block_on(upgrade(
            &mut socket,
            &OneClient::new(),
            Rules::of(&settings, 0),
            &TokenVerifier::open(),
            true,
            &mut Anybody,
        ));
        // Bytes behind a request may already have been read with it; they must not be lost.
        let rest = socket.pieces.concat();
        let established = result.ok().map(|established| {
            (established.encoding, established.handshake, [&established.early[..], &rest].concat())
        });
        // A request with a token for which no key is known is also answered as a websocket first, and then closed.
        assert!(established.is_none() || socket.written.starts_with(b"HTTP/1.1 101 "));
        established
    };
    fuzz("handshake", &corpus, |input, rng| {
        let whole = shaken(vec![input]);
        assert!(whole.as_ref().is_none_or(|(.., behind)| input.ends_with(behind)));
        assert_eq!(shaken(rng.pieces(input)), whole);
    });
}

/// Every token or secret that opens a websocket, wherever it stands in the request, is one that was signed or issued.
#[test]
fn handshake_with_token() -> anyhow::Result<()> {
    let key = TokenKey::new(b"a key");
    let claims = Claims {
        uid: "42".to_owned(),
        expires: u64::MAX,
        groups: vec!["news".to_owned()],
        ..Claims::default()
    };
    let token = key.mint(&claims)?;
    let client = OneClient::new();
    let resume = client.0.to_text();
    let request = |path: &str, header: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{header}\r\n"
        )
        .into_bytes()
    };
    let corpus = [
        request(&format!("/?a=1&token={token}"), ""),
        request("/", &format!("Sec-WebSocket-Protocol: gateway, gateway.token.{token}\r\n")),
        request("/", ""),
        request(&format!("/?resume={resume}&seen=1"), "Sec-WebSocket-Protocol: gateway.2\r\n"),
        request(
            "/",
            &format!(
                "Sec-WebSocket-Protocol: gateway.2, gateway.resume.{resume}.7, gateway.token.{token}\r\n"
            ),
        ),
    ];
    let settings = parts::settings("token_key = \"a key\"\nrequire_token = true");
    let token_verifier = TokenVerifier::open().with(&settings);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    fuzz("handshake with token", &corpus, |input, rng| {
        let mut socket = Socket { pieces: rng.pieces(input), written: Vec::new() };
        let opened = runtime.block_on(upgrade(
            &mut socket,
            &client,
            Rules::of(&settings, 0),
            &token_verifier,
            false,
            &mut Anybody,
        ));
        let has = |secret: &str| input.windows(secret.len()).any(|part| part == secret.as_bytes());
        let Ok(opened) = opened else { return };
        match opened.identity {
            Some(identity) => assert!(&identity.uid[..] == b"42" && has(&token)),
            None => assert!(matches!(opened.resumption, Resumption::Good(_)) && has(&resume)),
        }
    });
    Ok(())
}

/// The bytes behind a header are left for the next reader, to the last one.
#[test]
fn proxy_protocol() -> anyhow::Result<()> {
    let version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\xdc\x04\x01\xbbGET /";
    let mut version_2_over_ipv6 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x28".to_vec();
    version_2_over_ipv6.extend_from_slice(&[0x20; 40]);
    let corpus = [
        b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\nGET /".to_vec(),
        b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 and so on\r\n".to_vec(),
        version_2.to_vec(),
        version_2_over_ipv6,
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let take = async |input: &[u8]| -> anyhow::Result<Option<Vec<u8>>> {
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, (mut server, _)) = (client?, accepted?);
        // A reset leaves no port waiting for late packets: there are only some ten thousand ports, and more inputs.
        SockRef::from(&server).set_linger(Some(std::time::Duration::ZERO))?;
        let say = async {
            // The server may have closed the connection before the whole input is written.
            if client.write_all(input).await.is_ok() {
                let _ = client.shutdown().await;
            }
            client
        };
        let hear = async move {
            let taken = take_proxy_header(&mut server).await.is_ok();
            let mut rest = Vec::new();
            Ok(if taken && server.read_to_end(&mut rest).await.is_ok() { Some(rest) } else { None })
        };
        tokio::join!(say, hear).1
    };
    fuzz("PROXY protocol", &corpus, |input, _| {
        let rest = match runtime.block_on(take(input)) {
            Ok(rest) => rest,
            Err(error) => panic!("{error:#}"),
        };
        let Some(rest) = rest else { return };
        let header = match input[0] {
            b'P' => input.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1),
            _ => 16 + usize::from(u16::from_be_bytes([input[14], input[15]])),
        };
        assert_eq!(rest, &input[header..]);
    });
    Ok(())
}

/// Whatever a page says, the server's end counts it or refuses it, and what is escaped comes out as it was.
#[test]
fn client_protocol() {
    let corpus =
        ["gateway:seen 7", "gateway:= gateway:seen 1", "gateway:=x\nhello\ngateway:ping\ngateway:seen 2", ""]
            .map(|text| text.as_bytes().to_vec());
    fuzz("client protocol", &corpus, |input, _| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        assert_eq!(Text::parse(&escape(text)), Ok(Text::Application(text)));
        let mut end = ServerEnd::new(std::num::NonZeroU32::MIN);
        let (mut taken, mut released) = (0, 0);
        for (number, text) in text.lines().enumerate() {
            end.send(number, 2, 10, |_| 10);
            let now = std::time::Duration::from_secs(number as u64);
            let received = end.receive(text, now, |_| {
                released += 1;
                10
            });
            match received {
                Ok(received) => {
                    let is_counted = !text.starts_with("gateway:") || text.starts_with("gateway:=");
                    taken += u64::from(is_counted);
                    assert!(received.message.is_none() || is_counted);
                }
                Err(_) => break,
            }
            assert_eq!(end.weight(), 10 * (number + 1 - released));
        }
        assert!(end.missed() <= end.sent() && end.taken() == taken);
    });
}
