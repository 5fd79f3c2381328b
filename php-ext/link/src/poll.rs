//! `poll(2)`, and the descriptor that wakes the I/O thread from it.

use std::fs::File;
use std::io::{self, Read, Write};
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) woken: bool,
    /// Also when the connection has ended, which reading then tells.
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// Waits for a wake, or for the socket: to be readable always, to be writable if asked. `None` waits for ever.
pub(crate) fn wait(
    wake: &Wake,
    socket: Option<RawFd>,
    for_writing: bool,
    timeout: Option<Duration>,
) -> io::Result<Ready> {
    let out = if for_writing { libc::POLLOUT } else { 0 };
    let mut polled = [
        libc::pollfd { fd: wake.as_raw_fd(), events: libc::POLLIN, revents: 0 },
        // Negative descriptors are passed over.
        libc::pollfd { fd: socket.unwrap_or(-1), events: libc::POLLIN | out, revents: 0 },
    ];
    // SAFETY: the pointer and the count are those of an array that outlives the call.
    let found =
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, milliseconds(timeout)) };
    if found < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::Interrupted => Ok(Ready::default()),
            _ => Err(error),
        };
    }
    let [wake, socket] = polled.map(|polled| polled.revents);
    let ended = libc::POLLHUP | libc::POLLERR | libc::POLLNVAL;
    Ok(Ready {
        woken: wake != 0,
        readable: socket & (libc::POLLIN | ended) != 0,
        writable: socket & (libc::POLLOUT | ended) != 0,
    })
}

/// Rounded up, so that a wait never ends just before its time.
fn milliseconds(timeout: Option<Duration>) -> libc::c_int {
    match timeout {
        None => -1,
        Some(timeout) => timeout.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(libc::c_int::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_ends_a_wait_once() {
        let wake = Wake::new().unwrap();
        assert!(!wait(&wake, None, false, Some(Duration::ZERO)).unwrap().woken);
        wake.wake();
        wake.wake();
        assert!(wait(&wake, None, false, None).unwrap().woken);
        wake.clear();
        assert!(!wait(&wake, None, false, Some(Duration::ZERO)).unwrap().woken);
    }

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(milliseconds(None), -1);
        assert_eq!(milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Some(Duration::from_micros(1))), 1);
        assert_eq!(milliseconds(Some(Duration::MAX)), libc::c_int::MAX);
    }
}
