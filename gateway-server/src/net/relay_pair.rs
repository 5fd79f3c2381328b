//! The pair of unix sockets between a relay and the process that serves its client, and how a reset passes through it.
//!
//! TCP ends a connection in two ways: after everything that was written, or by a reset, which throws away what waits. A unix
//! socket knows the first way alone. A reset over it is therefore a mark: a last byte with a descriptor beside it, which nothing
//! else sends. The relay finds the mark also behind bytes for which it has no room.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

use mio::net::UnixStream;
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use socket2::{Domain, SockRef};

/// The bytes that each end of a pair may send before the other end reads, as the system counts them before it doubles them for its
/// own needs. It is less than the system's default so that a mark has room behind it.
const WAITING: usize = 64 << 10;
/// The longest look behind a pair's bytes. An end holds less.
const LONGEST_LOOK: usize = 1 << 20;

/// Makes a pair: the relay's end, and the end that another process serves as if it were the client's socket.
pub fn relay_pair() -> io::Result<(UnixStream, OwnedFd)> {
    let (relay, served) = UnixStream::pair()?;
    for end in [relay.as_fd(), served.as_fd()] {
        SockRef::from(&end).set_send_buffer_size(WAITING)?;
    }
    Ok((relay, served.into()))
}

/// The number of the process that has the other end of this socket as a relay, or `None` for the socket of a client itself.
pub fn relay_of(socket: &impl AsFd) -> Option<u32> {
    if SockRef::from(socket).domain().ok()? != Domain::UNIX {
        return None;
    }
    // That is the process which has made the pair.
    let relay = rustix::net::sockopt::socket_peercred(socket).ok()?;
    u32::try_from(relay.pid.as_raw_nonzero().get()).ok()
}

/// Makes the close of a connection, which must follow, a reset: its peer is to get nothing more, or takes nothing more. This is for
/// the socket of a client as well as for the end of a pair that stands for one. A connection that has ended already stays as it is.
pub fn reset_on_close(socket: &impl AsFd) {
    let options = SockRef::from(socket);
    if options.domain().is_ok_and(|domain| domain == Domain::UNIX) {
        // Without room for the mark, the peer sees the other kind of end.
        let _ = send_mark(socket.as_fd());
    } else {
        let _ = options.set_linger(Some(Duration::ZERO));
    }
}

fn send_mark(socket: BorrowedFd<'_>) -> io::Result<()> {
    // Any descriptor would do. A descriptor of a socket would be counted by the system until it is received.
    static NOTHING: OnceLock<Option<File>> = OnceLock::new();
    let Some(nothing) = NOTHING.get_or_init(|| File::open("/dev/null").ok()) else {
        return Err(ErrorKind::NotFound.into());
    };
    // The peer may have left no room for the mark, which is why the connection ends so.
    let options = SockRef::from(&socket);
    options.set_send_buffer_size(options.send_buffer_size()?)?;
    let descriptors = [nothing.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(socket, &[IoSlice::new(&[0])], &mut control, flags)?;
    Ok(())
}

/// What the relay's end of a pair has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    Bytes(usize),
    /// The serving process sends nothing more.
    End,
    /// The serving process has reset the connection. What came before does not count any more.
    Reset,
}

/// Receives from the relay's end of a pair.
pub fn receive(pair: &impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    receive_with(pair.as_fd(), buffer, RecvFlags::empty())
}

/// The number of bytes that wait in an end of a pair.
pub fn received_bytes(pair: &impl AsFd) -> usize {
    rustix::io::ioctl_fionread(pair.as_fd()).map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Whether a reset waits in the relay's end of a pair, behind bytes that were not received yet.
pub fn has_reset(pair: &impl AsFd) -> bool {
    let mut all = vec![0; LONGEST_LOOK.min(received_bytes(pair))];
    !all.is_empty() && matches!(receive_with(pair.as_fd(), &mut all, RecvFlags::PEEK), Ok(Received::Reset))
}

fn receive_with(pair: BorrowedFd<'_>, buffer: &mut [u8], flags: RecvFlags) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    // Dropping this closes the descriptor that was received.
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = flags | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(pair, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
    // A process without free descriptors does not get the descriptor, but learns that there was one.
    Ok(match received.bytes {
        _ if control.drain().next().is_some() || received.flags.contains(ReturnFlags::CTRUNC) => {
            Received::Reset
        }
        0 => Received::End,
        length => Received::Bytes(length),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream as Served;

    use super::*;

    fn pair() -> (UnixStream, Served) {
        let (relay, served) = relay_pair().unwrap();
        (relay, Served::from(served))
    }

    /// Writes until the peer's end is full. Gives the number of bytes.
    fn fill(served: &mut Served) -> usize {
        served.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(length) = served.write(&[7; 1000]) {
            written += length;
        }
        written
    }

    #[test]
    fn bytes_come_and_then_the_end() {
        let (relay, mut served) = pair();
        let mut buffer = [0; 100];
        assert_eq!(receive(&relay, &mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        served.write_all(b"hello").unwrap();
        drop(served);
        assert!(!has_reset(&relay));
        assert_eq!(receive(&relay, &mut buffer).unwrap(), Received::Bytes(5));
        assert_eq!(&buffer[..5], b"hello");
        assert_eq!(receive(&relay, &mut buffer).unwrap(), Received::End);
    }

    #[test]
    fn an_end_knows_the_relay_and_a_socket_has_none() {
        let (_relay, served) = pair();
        assert_eq!(relay_of(&served), Some(std::process::id()));
        assert_eq!(relay_of(&TcpListener::bind("127.0.0.1:0").unwrap()), None);
    }

    #[test]
    fn a_reset_is_found_in_an_empty_pair_behind_bytes_and_in_a_full_pair() {
        for waiting in 0..3 {
            let (relay, mut served) = pair();
            match waiting {
                0 => {}
                1 => served.write_all(&[7; 1000]).unwrap(),
                _ => assert!(fill(&mut served) > WAITING / 2),
            }
            assert!(!has_reset(&relay));
            reset_on_close(&served);
            drop(served);
            assert!(has_reset(&relay) && has_reset(&relay), "{waiting}");
            let mut buffer = vec![0; 32 << 10];
            loop {
                match receive(&relay, &mut buffer).unwrap() {
                    Received::Bytes(length) => assert!(buffer[..length].iter().all(|byte| *byte == 7)),
                    Received::End => panic!("the reset of {waiting} is taken for an end"),
                    Received::Reset => break,
                }
            }
        }
    }

    #[test]
    fn looking_for_a_reset_takes_no_descriptor() {
        let (relay, served) = pair();
        reset_on_close(&served);
        assert!((0..1000).all(|_| has_reset(&relay)));
        let files =
            std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|file| file.ok()?.path().read_link().ok());
        // Other tests may have opened it some times.
        assert!(files.filter(|file| file.as_os_str() == "/dev/null").count() < 500);
    }

    #[test]
    fn an_end_that_has_sent_its_last_byte_cannot_be_reset() {
        let (relay, served) = pair();
        served.shutdown(std::net::Shutdown::Write).unwrap();
        reset_on_close(&served);
        assert!(!has_reset(&relay));
        assert_eq!(receive(&relay, &mut [0]).unwrap(), Received::End);
    }

    #[test]
    fn over_tcp_it_is_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        reset_on_close(&socket);
        drop(socket);
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}
