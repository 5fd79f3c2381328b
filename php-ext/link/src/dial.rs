//! A TCP or unix connection to an address, within a deadline.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};

use crate::address::{Address, Host};
use crate::error::ConnectError;
use crate::fork::CloseOnFork;

/// A peer whose machine is gone is noticed after so long, where the kernel by itself would take hours.
pub(crate) const MAX_SILENCE: Duration = Duration::from_secs(30);

/// Why a step of connecting failed: an I/O error, or a timeout however the system reports it.
pub(crate) enum DialError {
    Timeout,
    Io(io::Error),
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A blocking socket reports WouldBlock when its timeout passes.
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Timeout,
            _ => Self::Io(error),
        }
    }
}

impl From<DialError> for ConnectError {
    fn from(failed: DialError) -> Self {
        match failed {
            DialError::Timeout => Self::Timeout(Duration::ZERO),
            DialError::Io(error) => error.into(),
        }
    }
}

pub(crate) fn resolve(address: &Address) -> Result<Vec<SockAddr>, ConnectError> {
    let ip = |ip: IpAddr, port| Ok(vec![SockAddr::from(SocketAddr::new(ip, port))]);
    match address {
        Address::Unix(path) => Ok(vec![SockAddr::unix(path)?]),
        Address::Tcp { host: Host::V4(v4), port, .. } => ip(IpAddr::V4(*v4), *port),
        Address::Tcp { host: Host::V6(v6), port, .. } => ip(IpAddr::V6(*v6), *port),
        Address::Tcp { host: Host::Name(name), port, .. } => {
            let found = (name.as_str(), *port).to_socket_addrs();
            let found = found.map_err(|error| {
                // The system's text is "failed to lookup address information: Name or service not known".
                let text = error.to_string();
                ConnectError::Resolve(text.rsplit(": ").next().unwrap_or(&text).to_owned())
            })?;
            Ok(found.map(SockAddr::from).collect())
        }
    }
}

pub(crate) fn connect(to: &SockAddr, deadline: Instant) -> Result<CloseOnFork<Socket>, DialError> {
    let socket = CloseOnFork::open(|| Socket::new(to.domain(), Type::STREAM, None))?;
    if to.domain() != Domain::UNIX {
        socket.set_tcp_nodelay(true)?;
        notice_silence(&socket, MAX_SILENCE)?;
    }
    socket.connect_timeout(to, left(deadline)?)?;
    Ok(socket)
}

/// Turns keep-alive probes on. `limit` is how long sent bytes may stay unacknowledged by the other side's system.
pub(crate) fn notice_silence(socket: &Socket, limit: Duration) -> io::Result<()> {
    let probe = Duration::from_secs(10);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(probe).with_interval(probe).with_retries(2))?;
    socket.set_tcp_user_timeout(Some(limit))
}

pub(crate) fn write_by(mut socket: &Socket, bytes: &[u8], deadline: Instant) -> Result<(), DialError> {
    socket.set_write_timeout(Some(left(deadline)?))?;
    Ok(socket.write_all(bytes)?)
}

pub(crate) fn set_timeouts(socket: &Socket, deadline: Instant) -> Result<(), DialError> {
    let left = left(deadline)?;
    socket.set_read_timeout(Some(left))?;
    Ok(socket.set_write_timeout(Some(left))?)
}

pub(crate) fn left(deadline: Instant) -> Result<Duration, DialError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(DialError::Timeout) } else { Ok(left) }
}
