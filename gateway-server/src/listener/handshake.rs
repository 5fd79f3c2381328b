//! The opening handshake of RFC 6455.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;

/// What a peer that speaks HTTP but no websocket is told.
const NOT_A_WEBSOCKET: &str = "HTTP/1.1 426 Upgrade Required\r\n\
    Upgrade: websocket\r\n\
    Connection: close\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 53\r\n\
    \r\n\
    This is a websocket port: connect to it with ws://.\r\n";

/// Shakes hands. On an error, the peer has been told and the socket is to be dropped.
pub(super) async fn websocket(socket: &mut TcpStream) -> Result<(), Box<Error>> {
    let Err(error) = tokio_tungstenite::accept_async(&mut *socket).await else { return Ok(()) };
    if speaks_http(&error) && socket.write_all(NOT_A_WEBSOCKET.as_bytes()).await.is_ok() {
        // Wait for the peer to have read it: closing over unread input would destroy it on the way.
        let _ = socket.shutdown().await;
        let mut rest = [0; 1024];
        while socket.read(&mut rest).await.is_ok_and(|length| length > 0) {}
    }
    Err(Box::new(error))
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
