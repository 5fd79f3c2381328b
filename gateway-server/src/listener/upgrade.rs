//! The opening handshake of RFC 6455.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Version};

use super::newcomer::Newcomer;
use super::refusal::Refusal;
use super::request::{self, UpgradeRequest};
use super::resumption::{ClientRegistry, Resumption};
use super::rules::Rules;
use super::token::TokenVerifier;
use super::{ambiguity, device, subprotocol};
use crate::inbox::model::Device;
use crate::protocol::Encoding;
use crate::protocol::websocket::{SUBPROTOCOL_2, deflate_answer};
use crate::shard::{Handshake, Identity};

/// The spelling of response headers in RFC 6455. HTTP ignores their case, but some devices compare letter by letter.
const NAMES: [&str; 5] =
    ["Connection", "Upgrade", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"];

/// The protocol that a client and the listener have agreed on, and what the client has said of itself by then.
pub struct Opened {
    /// The response that accepts the request, which the client gets before its first message; empty if there is none, or if the client
    /// has it.
    pub answer: Vec<u8>,
    /// The encoding of the messages to the client.
    pub encoding: Encoding,
    /// The bytes behind the request that were read with it: frames of a client that does not wait for the answer.
    pub early: Box<[u8]>,
    /// The request, when the application's events want it.
    pub handshake: Option<Box<Handshake>>,
    /// The identity in the client's connect token, if it has one.
    pub identity: Option<Box<Identity>>,
    /// The device that the client's token names, or the client itself.
    pub device: Option<Device>,
    /// Whether the page has asked for the client that was here before.
    pub resumption: Resumption,
}

impl Opened {
    /// Opens a protocol that has no handshake.
    pub(super) fn at_once(encoding: Encoding) -> Self {
        Self {
            answer: Vec::new(),
            encoding,
            early: Box::default(),
            handshake: None,
            identity: None,
            device: None,
            resumption: Resumption::NotAsked,
        }
    }

    /// Sends the client the answer before its first message is there.
    pub(super) async fn say(&mut self, socket: &mut (impl AsyncWrite + Unpin)) -> Result<(), Refusal> {
        write(socket, &std::mem::take(&mut self.answer)).await
    }
}

/// Performs the handshake, and answers the client. A peer that is refused has not been told of it yet. With `wants_handshake` the
/// request is kept for the application's events. `clients` finds the client that the page asks for, if it does.
pub async fn upgrade(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    clients: &impl ClientRegistry,
    rules: Rules<'_>,
    token_verifier: &TokenVerifier,
    wants_handshake: bool,
    newcomer: &mut impl Newcomer,
) -> Result<Opened, Refusal> {
    let request = request::read(socket, &mut Vec::new(), rules.server.max_request_bytes).await?;
    let mut opened = open(socket, request, clients, rules, token_verifier, wants_handshake, newcomer).await?;
    opened.say(socket).await?;
    Ok(opened)
}

/// Performs the handshake as [`upgrade`] does, once the request was read, but leaves the answer to the caller.
pub(super) async fn open(
    socket: &mut (impl AsyncWrite + Unpin),
    request: UpgradeRequest,
    clients: &impl ClientRegistry,
    rules: Rules<'_>,
    token_verifier: &TokenVerifier,
    wants_handshake: bool,
    newcomer: &mut impl Newcomer,
) -> Result<Opened, Refusal> {
    let UpgradeRequest { request, target, early } = request;
    let mut response = request::accept(&request)?;
    ambiguity::check(&request)?;
    rules.check(&request)?;
    let full = newcomer.admit(&request)?;
    let protocol = subprotocol::choose(&request, &rules.listener.subprotocols);
    let is_gateway2 = protocol.as_ref().is_some_and(|protocol| protocol == SUBPROTOCOL_2);
    if let Some(protocol) = protocol {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let (identity, resumption) =
        match introduce(&request, is_gateway2, full, token_verifier, clients, newcomer).await {
            Err(refusal) if refusal.is_for_websocket() => {
                write(socket, &answer(&response)).await?;
                return Err(refusal);
            }
            introduced => introduced?,
        };
    let deflate = if rules.server.deflate { deflate_answer(request.headers()) } else { None };
    if let Some(answer) = deflate {
        response.headers_mut().insert("Sec-WebSocket-Extensions", HeaderValue::from_static(answer));
    }
    let answer = answer(&response);
    let encoding = Encoding::of_websocket(is_gateway2, deflate.is_some());
    let handshake = wants_handshake.then(|| Box::new(handshake(&request, target)));
    let signed = identity.as_ref().and_then(|identity| identity.device.clone());
    let device = signed.or_else(|| device::offered(&request));
    Ok(Opened { answer, encoding, early, handshake, identity, device, resumption })
}

/// Finds out who the client is: the one that was here before, or one with the identity of its token, if it has one. The token of a
/// client that was here before, or may have been, is not used up. With `full` there is no slot for a client, unless it is one that
/// comes back, or a parked one makes room for it.
async fn introduce(
    request: &Request,
    is_gateway2: bool,
    full: Option<Refusal>,
    token_verifier: &TokenVerifier,
    clients: &impl ClientRegistry,
    newcomer: &mut impl Newcomer,
) -> Result<(Option<Box<Identity>>, Resumption), Refusal> {
    let token = token_verifier.find(request)?;
    let resumption = match is_gateway2 {
        true => Resumption::of(request, token, token_verifier, clients, newcomer).await,
        false => Resumption::NotAsked,
    };
    match (resumption, full) {
        (Resumption::Good(offer), Some(full)) if !clients.has_slot(&offer) => {
            if !newcomer.may_find_room(&full).await {
                return Err(full);
            }
            newcomer.make_room().await?;
            Ok((None, resumption))
        }
        (Resumption::Good(_), _) | (Resumption::NotNow(_), None) => Ok((None, resumption)),
        (Resumption::NotNow(_), Some(full)) => Err(full),
        (Resumption::NotAsked | Resumption::Gap(_), None) => {
            Ok((token_verifier.introduce(token)?, resumption))
        }
        (Resumption::NotAsked | Resumption::Gap(_), Some(full)) => {
            // A token that is good once is used up only where there may be room, and nobody is ended for one without a good token.
            if !newcomer.may_find_room(&full).await {
                return Err(full);
            }
            let identity = token_verifier.introduce(token)?;
            newcomer.make_room().await?;
            Ok((identity, resumption))
        }
    }
}

fn answer(response: &Response) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    for (name, value) in response.headers() {
        let name = NAMES.into_iter().find(|known| *name == *known).unwrap_or(name.as_str());
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

async fn write(socket: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), Refusal> {
    socket.write_all(bytes).await.map_err(Error::from)?;
    // TLS keeps bytes that the socket does not take yet, so they are flushed.
    Ok(socket.flush().await.map_err(Error::from)?)
}

fn handshake(request: &Request, uri: Vec<u8>) -> Handshake {
    let mut headers: Vec<(String, Vec<u8>)> = Vec::with_capacity(request.headers().len());
    for (name, value) in request.headers() {
        match headers.last_mut() {
            // Several headers of one name mean the same as one header with all their values.
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
