//! The address of a connection's peer, also after the connection was reset.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use socket2::{SockAddr, SockAddrStorage, SockRef};

/// Asks the kernel for the address of a connection's peer. `getpeername(2)` does not know it any more once the connection was reset;
/// the option `SO_PEERNAME` knows it for as long as the socket is there.
pub fn peer_address(socket: &impl AsFd) -> Option<SocketAddr> {
    let address =
        SockRef::from(socket).peer_addr().ok().or_else(|| peer_name(socket.as_fd()))?.as_socket()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[allow(unsafe_code)]
fn peer_name(socket: BorrowedFd<'_>) -> Option<SockAddr> {
    // The kernel refuses to give more bytes than the address has.
    let lengths = [size_of::<libc::sockaddr_in6>(), size_of::<libc::sockaddr_in>()];
    let name = |room: usize| {
        let get = |storage: *mut SockAddrStorage, length: *mut libc::socklen_t| {
            // SAFETY: both pointers are valid for writes, as `SockAddr::try_init` says, and the storage has room for any address.
            let result = unsafe {
                *length = room as libc::socklen_t;
                libc::getsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_PEERNAME,
                    storage.cast(),
                    length,
                )
            };
            if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
        };
        // SAFETY: the kernel has written an address whose length is `length`, or there is an error.
        unsafe { SockAddr::try_init(get) }
    };
    lengths.into_iter().find_map(|length| Some(name(length).ok()?.1))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_known_before_and_after_a_reset() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else { continue };
            let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let address = peer.local_addr().unwrap();
            let (mut socket, _) = listener.accept().unwrap();
            assert_eq!(peer_address(&socket), Some(address));
            SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
            drop(peer);
            socket.read(&mut [0]).unwrap_err();
            socket.peer_addr().unwrap_err();
            assert_eq!(peer_address(&socket), Some(address));
        }
    }
}
