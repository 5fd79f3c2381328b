//! How the doctor reaches the ports of a server on this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The time that something on this machine may take to accept a connection, or to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// The address at which a program of this machine reaches a listener on all addresses.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    (ip, address.port()).into()
}
