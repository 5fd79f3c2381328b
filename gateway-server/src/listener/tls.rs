//! The TLS handshake of a client.

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::farewell::RefusedPeer;
use super::refusal::Refusal;
use super::stream::Stream;
use crate::net::tls::{Certificate, FIRST_BYTE};

pub(super) async fn accept(socket: TcpStream, certificate: &Certificate) -> Result<Stream, RefusedPeer> {
    let mut first = [0];
    if socket.peek(&mut first).await.map_err(Refusal::tls)? == 0 {
        return Err(Refusal::tls("the peer has closed").into());
    }
    // A client that uses ws:// in place of wss:// speaks HTTP, and can be told so.
    if first[0] != FIRST_BYTE && first[0].is_ascii_uppercase() {
        return Err(RefusedPeer::on(Stream::Plain(socket), Refusal::not_tls()));
    }
    match TlsAcceptor::from(certificate.config()).accept(socket).into_fallible().await {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        // TLS itself has sent an alert that says why.
        Err((error, socket)) => Err(RefusedPeer::after_alert(socket, Refusal::tls(error))),
    }
}
