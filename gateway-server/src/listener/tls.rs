//! The TLS handshake.

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::handshake::{finish, refuse};
use super::refusal::Refusal;
use super::stream::Stream;
use crate::tls::{Certificate, FIRST_BYTE};

/// Shakes hands. On an error, the peer has been told.
pub(super) async fn accept(mut socket: TcpStream, certificate: &Certificate) -> Result<Stream, Refusal> {
    let mut first = [0];
    if socket.peek(&mut first).await.map_err(Refusal::tls)? == 0 {
        return Err(Refusal::tls("the peer has closed"));
    }
    // A client that forgot the s of wss:// speaks HTTP.
    if first[0] != FIRST_BYTE && first[0].is_ascii_uppercase() {
        let refusal = Refusal::not_tls();
        refuse(&mut socket, &refusal).await;
        return Err(refusal);
    }
    match TlsAcceptor::from(certificate.config()).accept(socket).into_fallible().await {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err((error, mut socket)) => {
            // An alert has been sent, which closing over unread input would destroy on the way.
            finish(&mut socket).await;
            Err(Refusal::tls(error))
        }
    }
}
