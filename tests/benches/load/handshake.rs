//! The opening handshake of a client, with that of TLS before it where the server speaks that: all requests are the same except for the
//! path, and the answer is not verified.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use mio::net::TcpStream;
use socket2::{Domain, SockRef, Socket, Type};
use tokio_rustls::rustls::HandshakeKind;
use tokio_rustls::rustls::client::ClientConnection;

use crate::endpoint::Endpoint;
use crate::frames::Header;
use crate::records;

/// The rest of each request, with the example key of RFC 6455.
const REST: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const END: &[u8] = b"\r\n\r\n";

pub(crate) fn request(server: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n{REST}").into_bytes()
}

/// The request of a client that offers these subprotocols.
pub(crate) fn request_with(server: SocketAddr, path: &str, protocols: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nSec-WebSocket-Protocol: {protocols}\r\n{REST}")
        .into_bytes()
}

/// A connection whose handshake is under way.
pub(crate) struct Opening {
    pub(crate) socket: TcpStream,
    /// The state of TLS, if the server speaks it.
    pub(crate) session: Option<ClientConnection>,
    request: Vec<u8>,
    is_sent: bool,
    answer: Vec<u8>,
}

impl Opening {
    pub(crate) fn begin(
        from: Option<SocketAddr>,
        server: &Endpoint,
        request: Vec<u8>,
    ) -> anyhow::Result<Self> {
        let socket = match from {
            None => TcpStream::connect(server.address)?,
            Some(from) => connect_from(from, server.address)?,
        };
        let mut session = server.session()?;
        if let Some(session) = &mut session {
            // TLS keeps the request until its own handshake is done.
            session.writer().write_all(&request)?;
        }
        Ok(Self { socket, session, request, is_sent: false, answer: Vec::new() })
    }

    /// Whether a ticket has spared the handshake of TLS most of its work.
    pub(crate) fn is_resumed(&self) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| session.handshake_kind() == Some(HandshakeKind::Resumed))
    }

    /// Goes on as far as it can. Once the answer is there, and the first message of a server that `greets`, gives the bytes
    /// behind the answer.
    pub(crate) fn advance(&mut self, greets: bool) -> anyhow::Result<Option<Vec<u8>>> {
        if !self.write()? {
            return Ok(None);
        }
        let mut chunk = [0; 4096];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => bail!("the server closed during the handshake"),
                Ok(length) => self.take(&chunk[..length])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("reading the handshake's answer"),
            }
        }
        // TLS may have to answer what came.
        self.write()?;
        let Some(end) = self.answer.windows(END.len()).position(|window| window == END) else {
            return Ok(None);
        };
        anyhow::ensure!(
            self.answer.starts_with(b"HTTP/1.1 101 "),
            "no upgrade: {}",
            String::from_utf8_lossy(&self.answer)
        );
        let rest = &self.answer[end + END.len()..];
        let is_greeted =
            Header::read(rest).is_some_and(|header| rest.len() >= header.length + header.payload);
        Ok((is_greeted || !greets).then(|| rest.to_vec()))
    }

    /// Writes what there is to write; gives false while the connection is not there yet.
    fn write(&mut self) -> anyhow::Result<bool> {
        let is_early =
            |error: &io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected);
        if let Some(session) = &mut self.session {
            while session.wants_write() {
                match session.write_tls(&mut self.socket) {
                    Ok(_) => self.is_sent = true,
                    Err(error) if is_early(&error) => break,
                    Err(error) => return Err(error).context("connecting"),
                }
            }
        } else if !self.is_sent {
            match self.socket.write(&self.request) {
                Ok(written) if written == self.request.len() => self.is_sent = true,
                Ok(_) => bail!("a request was sent in part"),
                Err(error) if is_early(&error) => {}
                Err(error) => return Err(error).context("connecting"),
            }
        }
        Ok(self.is_sent)
    }

    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match &mut self.session {
            None => self.answer.extend_from_slice(bytes),
            Some(session) => {
                records::decrypted(session, bytes, &mut [0; 4096], |plain| {
                    self.answer.extend_from_slice(plain)
                })?;
            }
        }
        Ok(())
    }
}

fn connect_from(from: SocketAddr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&from.into())?;
    match socket.connect(&server.into()) {
        Err(error) if error.raw_os_error() != Some(nix::errno::Errno::EINPROGRESS as i32) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// Makes the socket close without leaving its port in TIME_WAIT: the runs follow each other faster than ports become free.
pub(crate) fn reset(socket: &TcpStream) {
    // This fails only on a socket that is already gone.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
