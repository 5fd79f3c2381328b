//! The opening handshake of RFC 6455.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Version};

use super::ambiguous;
use super::caller::Caller;
use super::refusal::Refusal;
use super::request::{self, Opening};
use super::rules::Rules;
use super::subprotocol;
use super::token::Gate;
use super::{Established, Settings};
use crate::client::Form;
use crate::client::websocket::deflate_answer;
use crate::shard::Handshake;

/// The headers of an answer as RFC 6455 writes them. Their case means nothing, but some devices compare letter by letter.
const NAMES: [&str; 5] =
    ["Connection", "Upgrade", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"];

/// Shakes hands. On an error, the peer has been told and the socket is to be dropped. How the client came is kept if somebody
/// `wants` it.
pub(super) async fn websocket(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    settings: &Settings,
    wants: bool,
    caller: &mut Caller<'_>,
) -> Result<Established, Refusal> {
    let admit = |request: &Request| caller.introduce(request.headers());
    let shaken = shake(socket, &settings.rules, &settings.gate, settings.deflate, wants, admit).await;
    if let Err(refusal) = &shaken {
        refuse(socket, refusal).await;
    }
    shaken
}

/// Tells a peer that it is not let in, and waits until it has closed.
pub(super) async fn refuse(socket: &mut (impl AsyncRead + AsyncWrite + Unpin), refusal: &Refusal) {
    let Some(response) = refusal.response() else { return };
    if socket.write_all(&response).await.is_ok() {
        // Wait for the peer to have read it: closing over unread input would destroy it on the way.
        finish(socket).await;
    }
}

/// Ends our side, and waits until the peer has ended its own.
pub(super) async fn finish(socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let _ = socket.shutdown().await;
    let mut rest = [0; 1024];
    while socket.read(&mut rest).await.is_ok_and(|length| length > 0) {}
}

/// Shakes hands like [`websocket`], without a word to a peer that does something else. Messages may be compressed if both sides want it.
/// `admit` says whether there is room for whoever sent a request.
pub async fn shake(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    rules: &Rules,
    gate: &Gate,
    deflate: bool,
    wants: bool,
    admit: impl FnOnce(&Request) -> Result<(), Refusal>,
) -> Result<Established, Refusal> {
    let Opening { request, target, early } = request::read(socket, rules.max_request_bytes).await?;
    let mut response = request::accept(&request)?;
    ambiguous::check(&request)?;
    rules.check(&request)?;
    admit(&request)?;
    if let Some(protocol) = subprotocol::choose(&request, &rules.subprotocols) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let identity = match gate.introduce(&request) {
        Err(refusal) if refusal.is_for_websocket() => {
            answer(socket, &response).await?;
            return Err(refusal);
        }
        identity => identity?,
    };
    let deflate = if deflate { deflate_answer(request.headers()) } else { None };
    if let Some(answer) = deflate {
        response.headers_mut().insert("Sec-WebSocket-Extensions", HeaderValue::from_static(answer));
    }
    answer(socket, &response).await?;
    let form = if deflate.is_some() { Form::Deflated } else { Form::Websocket };
    let handshake = wants.then(|| Box::new(handshake(&request, target)));
    Ok(Established { form, early, handshake, identity })
}

async fn answer(socket: &mut (impl AsyncWrite + Unpin), response: &Response) -> Result<(), Refusal> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    for (name, value) in response.headers() {
        let name = NAMES.into_iter().find(|known| *name == *known).unwrap_or(name.as_str());
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    socket.write_all(&bytes).await.map_err(Error::from)?;
    // What TLS cannot send yet it keeps.
    Ok(socket.flush().await.map_err(Error::from)?)
}

fn handshake(request: &Request, uri: Vec<u8>) -> Handshake {
    let mut headers: Vec<(String, Vec<u8>)> = Vec::with_capacity(request.headers().len());
    for (name, value) in request.headers() {
        match headers.last_mut() {
            // Several headers of one name are as good as one with all their values.
            Some((last, values)) if last == name.as_str() => {
                values.push(b',');
                values.extend_from_slice(value.as_bytes());
            }
            _ => headers.push((name.to_string(), value.as_bytes().to_vec())),
        }
    }
    let protocol = if request.version() == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    Handshake { uri, protocol, headers }
}
