//! A client that another process serves, and whose TLS session is here.

use mio::net::{TcpStream, UnixStream};

use crate::net::tls::TlsSession;

/// A client whose TLS session stays in this process while another process serves it.
pub struct RelayedClient {
    /// The client's socket, which no other poll has.
    pub tcp: TcpStream,
    /// The TLS session over the socket, after its handshake. It may hold bytes of both directions.
    pub tls: Box<TlsSession>,
    /// The relay's end of the pair whose other end the serving process has.
    pub pair: UnixStream,
}
