//! A free port, for programs that cannot choose one themselves, or that are to be found where they were before.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

/// The ports that are tried. They are below those that the system gives to outgoing connections, of which any could have the port by the time
/// that its program starts, or starts again.
const PORTS: Range<u16> = 10_000..32_000;
/// How many of them are tried.
const TRIES: usize = 1000;

/// What keeps the ports that this process has given for it until it ends. Other tests, also of other processes, pass a port over that is
/// claimed.
static CLAIMS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// A port of this machine at which nobody listens, and which no other test gets for as long as this process lives.
pub fn free_port() -> anyhow::Result<SocketAddr> {
    for _ in 0..TRIES {
        let port = PORTS.start + (getrandom::u32()? % u32::from(PORTS.end - PORTS.start)) as u16;
        let Ok(claim) = claim(port) else { continue };
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            CLAIMS.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
            return listener.local_addr().context("a free port");
        }
    }
    anyhow::bail!("{TRIES} ports are in use")
}

/// Takes a name that stands for the port, which one process has at a time. It is in no folder, and ends with the process.
fn claim(port: u16) -> std::io::Result<UnixListener> {
    UnixListener::bind_addr(&UnixAddress::from_abstract_name(format!("gateway-tests/port/{port}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_to_one_test_alone() -> anyhow::Result<()> {
        let address = free_port()?;
        assert!(claim(address.port()).is_err(), "{address} is not claimed");
        // The program that the port is for listens there, over whatever it speaks.
        TcpListener::bind(address)?;
        std::net::UdpSocket::bind(address)?;
        Ok(())
    }
}
