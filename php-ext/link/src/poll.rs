//! `poll(2)`, and the descriptor that wakes the I/O thread from it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::time::Duration;

use crate::fork::Watched;

/// An eventfd: written by the PHP thread, polled by the I/O thread.
#[derive(Debug)]
pub(crate) struct Wake(Watched<File>);

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        Watched::open(|| {
            // SAFETY: takes no pointers.
            let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: just opened, and owned by nobody else.
            Ok(unsafe { File::from_raw_fd(fd) })
        })
        .map(Self)
    }

    pub(crate) fn wake(&self) {
        // Fails only when the counter is full, and then the reader is awake.
        let _ = (&*self.0).write(&1u64.to_ne_bytes());
    }

    pub(crate) fn clear(&self) {
        // Fails only when nobody woke.
        let _ = (&*self.0).read(&mut [0; 8]);
    }
}

impl AsRawFd for Wake {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// What a socket is watched for. Its end always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) input: bool,
    pub(crate) output: bool,
}

/// Waits for a wake, or for the socket. Without a timeout it waits for ever. Gives whether it was woken.
pub(crate) fn wait(
    wake: Option<&Wake>,
    socket: Option<(RawFd, Interest)>,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let wake = (wake.map_or(-1, Wake::as_raw_fd), Interest { input: true, output: false });
    let socket = socket.unwrap_or((-1, Interest::default()));
    poll([wake, socket], timeout).map(|[woken, _]| woken)
}

/// Waits for either of two sockets.
pub(crate) fn either(
    one: Option<(RawFd, Interest)>,
    other: Option<(RawFd, Interest)>,
    timeout: Duration,
) -> io::Result<()> {
    let nothing = (-1, Interest::default());
    poll([one.unwrap_or(nothing), other.unwrap_or(nothing)], Some(timeout)).map(drop)
}

/// Waits for input, for ever, or until a signal comes. `is_interrupted` is asked with all signals blocked: one that came
/// before ends the wait by it, and one that comes after ends the sleep. Gives whether there is something to read.
pub(crate) fn interruptible(socket: RawFd, is_interrupted: impl FnOnce() -> bool) -> io::Result<bool> {
    let mut polled = libc::pollfd { fd: socket, events: libc::POLLIN | libc::POLLRDHUP, revents: 0 };
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset fills what it is given; pthread_sigmask reads the one and fills the other.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let found = if is_interrupted() {
        Ok(0)
    } else {
        // SAFETY: one pollfd that outlives the call, no timeout, and the mask filled above.
        match unsafe { libc::ppoll(&raw mut polled, 1, std::ptr::null(), before.as_ptr()) } {
            found if found >= 0 => Ok(found),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    match found {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        found => Ok(found? > 0),
    }
}

/// Which of them something has happened to; none when interrupted. Negative descriptors are passed over.
fn poll(watched: [(RawFd, Interest); 2], timeout: Option<Duration>) -> io::Result<[bool; 2]> {
    let mut polled = watched.map(|(fd, interest)| {
        let input = if interest.input { libc::POLLIN } else { 0 };
        let output = if interest.output { libc::POLLOUT } else { 0 };
        libc::pollfd { fd, events: input | output | libc::POLLRDHUP, revents: 0 }
    });
    // SAFETY: the pointer and the count are those of an array that outlives the call.
    let found =
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, milliseconds(timeout)) };
    if found < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::Interrupted => Ok([false; 2]),
            _ => Err(error),
        };
    }
    Ok(polled.map(|polled| polled.revents != 0))
}

/// Rounded up, so that a wait never ends just before its time.
fn milliseconds(timeout: Option<Duration>) -> libc::c_int {
    match timeout {
        None => -1,
        Some(timeout) => timeout.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(libc::c_int::MAX),
    }
}

/// Bytes written to a TCP socket that the system has not sent at all. None, for other sockets.
pub(crate) fn unsent(socket: RawFd) -> usize {
    /// SIOCOUTQNSD of linux/sockios.h
    const UNSENT: libc::Ioctl = 0x894b;
    let mut bytes: libc::c_int = 0;
    // SAFETY: this request writes one int, which `bytes` is.
    let result = unsafe { libc::ioctl(socket, UNSENT, &raw mut bytes) };
    if result == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_ends_a_wait_once() {
        let wake = Wake::new().unwrap();
        assert!(!wait(Some(&wake), None, Some(Duration::ZERO)).unwrap());
        wake.wake();
        wake.wake();
        assert!(wait(Some(&wake), None, None).unwrap());
        wake.clear();
        assert!(!wait(Some(&wake), None, Some(Duration::ZERO)).unwrap());
    }

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(milliseconds(None), -1);
        assert_eq!(milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Some(Duration::from_micros(1))), 1);
        assert_eq!(milliseconds(Some(Duration::MAX)), libc::c_int::MAX);
    }
}
