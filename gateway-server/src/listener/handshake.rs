//! The opening handshake of RFC 6455.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::machine::TryParse as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::Established;
use crate::client::Form;
use crate::client::websocket::deflate_answer;
use crate::shard::Handshake;

/// Longest request, in bytes, with all its headers.
const MAX_REQUEST: usize = 16 << 10;
/// An empty line, with which a request ends. Lines may end by a line feed alone.
const ENDS: [&[u8]; 2] = [b"\n\r\n", b"\n\n"];

/// What a peer that speaks HTTP but no websocket is told.
const NOT_A_WEBSOCKET: &str = "HTTP/1.1 426 Upgrade Required\r\n\
    Upgrade: websocket\r\n\
    Connection: close\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 53\r\n\
    \r\n\
    This is a websocket port: connect to it with ws://.\r\n";

/// Shakes hands. On an error, the peer has been told and the socket is to be dropped. Messages may be compressed if both
/// sides want it; how the client came is kept if somebody `wants` it.
pub(super) async fn websocket(
    socket: &mut TcpStream,
    deflate: bool,
    wants: bool,
) -> Result<Established, Box<Error>> {
    let error = match shake(socket, deflate, wants).await {
        Ok(established) => return Ok(established),
        Err(error) => error,
    };
    if speaks_http(&error) && socket.write_all(NOT_A_WEBSOCKET.as_bytes()).await.is_ok() {
        // Wait for the peer to have read it: closing over unread input would destroy it on the way.
        let _ = socket.shutdown().await;
        let mut rest = [0; 1024];
        while socket.read(&mut rest).await.is_ok_and(|length| length > 0) {}
    }
    Err(error)
}

/// As [`websocket`], without a word to a peer that does something else.
pub async fn shake(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    deflate: bool,
    wants: bool,
) -> Result<Established, Box<Error>> {
    let request = read_request(socket).await?;
    let mut response = create_response(&request).map_err(Box::new)?;
    let deflate = if deflate { deflate_answer(request.headers()) } else { None };
    if let Some(answer) = deflate {
        response.headers_mut().insert("Sec-WebSocket-Extensions", HeaderValue::from_static(answer));
    }
    let mut bytes = Vec::with_capacity(256);
    write_response(&mut bytes, &response).map_err(Box::new)?;
    socket.write_all(&bytes).await.map_err(|error| Box::new(error.into()))?;
    let form = if deflate.is_some() { Form::Deflated } else { Form::Websocket };
    Ok(Established { form, handshake: wants.then(|| Box::new(handshake(&request))) })
}

fn handshake(request: &Request) -> Handshake {
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
    let uri = request.uri();
    let uri = uri.path_and_query().map_or_else(|| uri.to_string(), |uri| uri.as_str().to_owned());
    Handshake { uri, headers }
}

/// However small the pieces that it comes in.
async fn read_request(socket: &mut (impl AsyncRead + Unpin)) -> Result<Request, Box<Error>> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        let before = bytes.len();
        let read = socket.read_buf(&mut bytes).await.map_err(|error| Box::new(error.into()))?;
        if read == 0 {
            return Err(Box::new(Error::Protocol(ProtocolError::HandshakeIncomplete)));
        }
        // Parsed at its beginning, which shows garbage, and once it is whole: not at every byte.
        let news = &bytes[before.saturating_sub(2)..];
        let is_whole = ENDS.iter().any(|end| news.windows(end.len()).any(|bytes| bytes == *end));
        if bytes.len() > MAX_REQUEST {
            let too_long = CapacityError::MessageTooLong { size: bytes.len(), max_size: MAX_REQUEST };
            return Err(Box::new(Error::Capacity(too_long)));
        }
        if !is_whole && before > 0 {
            continue;
        }
        match Request::try_parse(&bytes).map_err(Box::new)? {
            Some((length, request)) if length == bytes.len() => return Ok(request),
            Some(_) => return Err(Box::new(Error::Protocol(ProtocolError::JunkAfterRequest))),
            None => {}
        }
    }
}

fn speaks_http(error: &Error) -> bool {
    match error {
        Error::Protocol(error) => !matches!(error, ProtocolError::HandshakeIncomplete),
        Error::Http(_) | Error::HttpFormat(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_has_the_length_it_says() {
        let body = NOT_A_WEBSOCKET.split_once("\r\n\r\n").unwrap().1;
        assert!(NOT_A_WEBSOCKET.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
