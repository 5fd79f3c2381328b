//! Opens listening sockets, and paces a listener after a failed accept.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::client_options::set_client_options;
use crate::telemetry::abuse_log::{self, Offence};

/// The number of connections that the kernel may hold until they are accepted. The kernel takes the smaller of this and
/// net.core.somaxconn.
pub const BACKLOG: i32 = 65_535;
/// The wait after a failed accept, in which descriptors or memory may become free.
const PAUSE: Duration = Duration::from_millis(50);

/// Listens on an address. With `is_shared`, other processes may listen on the same port, and the kernel divides the connections
/// among them. `what` says in the error what the port is for.
pub fn bind_tcp(address: SocketAddr, is_shared: bool, what: &str) -> anyhow::Result<TcpListener> {
    listen(address, is_shared, |_| Ok(())).with_context(|| refusal(address, what))
}

/// Does the same for clients, whose sockets have their options from the start.
pub fn bind_for_clients(address: SocketAddr, is_shared: bool, what: &str) -> anyhow::Result<TcpListener> {
    listen(address, is_shared, set_client_options).with_context(|| refusal(address, what))
}

fn refusal(address: SocketAddr, what: &str) -> String {
    format!(
        "cannot listen on {address} ({what}); is another gateway-server, or GatewayWorker, running there?"
    )
}

fn listen(
    address: SocketAddr,
    is_shared: bool,
    set_options: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait until the kernel forgets old connections.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    if address.ip().is_unspecified() && address.is_ipv6() {
        // The socket takes IPv4 too, whatever the machine's default is.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    set_options(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Waits after a failed accept, as a lack of descriptors or memory passes. A connection that ended in the kernel's queue is no
/// reason to wait.
pub async fn pause_after_failed_accept(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
        return;
    }
    abuse_log::report(Offence::Accept, None, error);
    tokio::time::sleep(PAUSE).await;
}
