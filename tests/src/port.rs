//! A free port, for programs that cannot choose one themselves, or that are to be found where they were before.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::Mutex;

use anyhow::Context as _;

/// The ports that are tried. They are below those that the system gives to outgoing connections, of which any could have the port by the time
/// that its program starts, or starts again.
const PORTS: Range<u16> = 10_000..32_000;
/// How many of them are tried.
const TRIES: usize = 1000;

/// What keeps the ports that this process has given for it until it ends: a UDP socket at the same number, which is in the way of no listener.
/// Other tests, also of other processes, pass a port over that has one.
static CLAIMS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// A port of this machine at which nobody listens, and which no other test gets for as long as this process lives.
pub fn free_port() -> anyhow::Result<SocketAddr> {
    for _ in 0..TRIES {
        let port = PORTS.start + (getrandom::u32()? % u32::from(PORTS.end - PORTS.start)) as u16;
        let Ok(claim) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else { continue };
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            CLAIMS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(claim);
            return listener.local_addr().context("a free port");
        }
    }
    anyhow::bail!("{TRIES} ports are in use")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_to_one_test_alone() -> anyhow::Result<()> {
        let address = free_port()?;
        assert!(UdpSocket::bind(address).is_err(), "{address} is not claimed");
        // The program that the port is for listens there.
        TcpListener::bind(address)?;
        Ok(())
    }
}
