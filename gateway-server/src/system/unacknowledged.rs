//! What a peer's system has not acknowledged of what was sent to it.

use std::os::fd::{AsFd, AsRawFd as _};

/// The bytes of a TCP socket that were sent, or wait to be, and are not acknowledged. It is 0 where the system does not say.
#[allow(unsafe_code)]
pub fn unacknowledged(socket: &impl AsFd) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the call writes one number, for which there is room, and the descriptor is borrowed for as long.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn bytes_count_until_they_are_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut own = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged(&own), 0);
        // More than the peer's system takes, as nobody reads there.
        own.set_nonblocking(true).unwrap();
        let chunk = vec![0; 1 << 20];
        while own.write(&chunk).is_ok() {}
        assert!(unacknowledged(&own) > 0);
        own.set_nonblocking(false).unwrap();
        own.shutdown(std::net::Shutdown::Write).unwrap();
        peer.read_to_end(&mut Vec::new()).unwrap();
        let start = Instant::now();
        while unacknowledged(&own) > 0 {
            assert!(start.elapsed() < Duration::from_secs(10), "{} bytes", unacknowledged(&own));
            std::thread::yield_now();
        }
        assert_eq!(unacknowledged(&std::io::pipe().unwrap().0), 0, "no socket at all");
    }
}
