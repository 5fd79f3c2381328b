//! The options of clients' sockets.

use std::io;
use std::os::fd::AsFd;

use socket2::SockRef;

/// Bytes that the kernel keeps unsent for a client. Without this bound it takes megabytes for a client that does not read. What
/// the kernel does not take waits in the outbox, which a setting bounds.
const UNSENT: u32 = 128 << 10;

/// Sets the options of clients' sockets, on one of them, or on a socket before it listens: what that accepts has them too.
pub fn set_client_options(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    // A push is one small write, and must not wait until more bytes follow.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpStream};

    use super::super::bind::bind_for_clients;
    use super::*;

    #[tokio::test]
    async fn a_client_that_comes_before_anybody_accepts_has_them() {
        let listener =
            bind_for_clients(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), false, "websocket").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let socket = SockRef::from(&socket);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT);
    }
}
