//! Listening sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::telemetry::abuse_log::{self, Offence};

/// Connections that the kernel may hold for us; it takes the smaller of this and net.core.somaxconn.
const BACKLOG: i32 = 65_535;
const PAUSE: Duration = Duration::from_millis(50);

/// `is_shared`: others that share the port too get a part of the connections.
pub fn bind_tcp(address: SocketAddr, is_shared: bool, what: &str) -> anyhow::Result<TcpListener> {
    listen(address, is_shared).with_context(|| {
        format!(
            "cannot listen on {address} ({what}); is another gateway-server, or GatewayWorker, running there?"
        )
    })
}

fn listen(address: SocketAddr, is_shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for old connections to time out.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    if address.ip().is_unspecified() && address.is_ipv6() {
        // It takes IPv4 too, whatever the machine has as its default.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Running out of descriptors or memory passes; a connection that died in the queue is nothing at all.
pub async fn pause_after_failed_accept(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
        return;
    }
    abuse_log::report(Offence::Accept, None, error);
    tokio::time::sleep(PAUSE).await;
}
