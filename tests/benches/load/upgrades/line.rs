//! The connection of a client, plain or over TLS: it is opened by a thread that waits, and then polled.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use gateway_tests::PATIENCE;
use gateway_wire::ClientId;
use mio::Registry;
use mio::net::TcpStream;
use socket2::{Domain, SockRef, Socket, Type};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, Stream};

use crate::frames::Header;
use crate::handshake;

/// The sizes of a slow reader's segments and of its buffer, in bytes: the kernel then takes some 44 KB for it, and else three megabytes.
const SLOW_SEGMENT: u32 = 536;
const SLOW_BUFFER: usize = 2048;
/// The buffer of a slow reader that is to take all.
const BUFFER: usize = 1 << 20;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A connection whose request is sent.
pub(super) struct Dialled {
    socket: std::net::TcpStream,
    tls: Option<Box<ClientConnection>>,
}

/// A connection that is established.
pub(super) struct Line {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Dialled {
    /// Connects and sends the request.
    pub(super) fn dial(
        server: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
        is_slow: bool,
    ) -> anyhow::Result<Self> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        if is_slow {
            socket.set_recv_buffer_size(SLOW_BUFFER)?;
            socket.set_tcp_mss(SLOW_SEGMENT)?;
        }
        socket.connect(&server.into()).context("connecting")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let name = || ServerName::try_from("localhost");
        let tls = match tls {
            Some(tls) => Some(Box::new(ClientConnection::new(Arc::clone(tls), name()?)?)),
            None => None,
        };
        let mut dialled = Self { socket: socket.into(), tls };
        dialled.write(&handshake::request(server, "/"))?;
        Ok(dialled)
    }

    /// Waits for the greeting, which names the client.
    pub(super) fn greeted(mut self) -> anyhow::Result<(Line, ClientId)> {
        let (mut bytes, mut chunk) = (Vec::new(), [0; 2048]);
        let greeting = loop {
            let length = self.read(&mut chunk).context("waiting for the greeting")?;
            ensure!(length > 0, "the server closed during the handshake");
            bytes.extend_from_slice(&chunk[..length]);
            let Some(end) = bytes.windows(HEAD_END.len()).position(|part| part == HEAD_END) else {
                continue;
            };
            ensure!(bytes.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&bytes));
            let frame = &bytes[end + HEAD_END.len()..];
            let Some(header) = Header::read(frame) else { continue };
            match frame.len() - header.length {
                length if length < header.payload => {}
                length if length == header.payload => break frame[header.length..].to_vec(),
                _ => bail!("more than the greeting has come"),
            }
        };
        self.socket.set_nonblocking(true)?;
        let line = Line { socket: TcpStream::from_std(self.socket), tls: self.tls };
        Ok((line, gateway_tests::greeted(&greeting)?))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => {
                let mut stream = Stream::new(tls.as_mut(), &mut self.socket);
                stream.write_all(bytes)?;
                stream.flush()
            }
            None => self.socket.write_all(bytes),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => Stream::new(tls.as_mut(), &mut self.socket).read(buffer),
            None => self.socket.read(buffer),
        }
    }
}

impl Line {
    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn register(&mut self, registry: &Registry, token: mio::Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, mio::Interest::READABLE)
    }

    /// Reads what is there, as far as it fits. The end of the connection is an error.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = match &mut self.tls {
            None => self.socket.read(buffer)?,
            Some(tls) => loop {
                match tls.reader().read(buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    read => break read?,
                }
                if tls.read_tls(&mut self.socket)? == 0 {
                    break 0;
                }
                tls.process_new_packets().map_err(io::Error::other)?;
            },
        };
        if length > 0 { Ok(length) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    /// Has a slow reader's kernel take as much as any other's.
    pub(super) fn widen(&self) -> io::Result<()> {
        SockRef::from(&self.socket).set_recv_buffer_size(BUFFER)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        handshake::reset(&self.socket);
    }
}
