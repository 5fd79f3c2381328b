//! The TLS handshake of a client.

use super::client_socket::ClientSocket;
use super::farewell::RefusedPeer;
use super::refusal::Refusal;
use super::stream::Stream;
use crate::net::tls::{Certificate, FIRST_BYTE, TlsStream};

/// Waits for the first byte of a client, and leaves it in the socket.
pub(super) async fn first_byte(socket: &mut ClientSocket) -> Result<u8, Refusal> {
    let mut first = [0];
    let socket = socket.polled().map_err(Refusal::tls)?;
    if socket.peek(&mut first).await.map_err(Refusal::tls)? == 0 {
        return Err(Refusal::tls("the peer has closed"));
    }
    Ok(first[0])
}

/// Does the handshake with a client whose first byte is known.
pub(super) async fn accept(
    socket: ClientSocket,
    first: u8,
    certificate: &Certificate,
) -> Result<Stream, RefusedPeer> {
    // A client that uses ws:// in place of wss:// speaks HTTP, and can be told so.
    if first != FIRST_BYTE && first.is_ascii_uppercase() {
        return Err(RefusedPeer::on(Stream::Plain(socket), Refusal::not_tls()));
    }
    match TlsStream::accept(socket, certificate.config()).await {
        Ok(stream) => Ok(Stream::Tls(stream)),
        // TLS itself has sent an alert that says why.
        Err((error, socket)) => Err(RefusedPeer::after_alert(socket, Refusal::tls(error))),
    }
}
