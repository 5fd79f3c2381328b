//! Watches many sockets by one descriptor, which the engine can wait for as it waits for a single socket.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::fork::CloseOnFork;
use crate::poll::Interest;

/// The most sockets that one call reports; the next call reports the others.
const AT_ONCE: usize = 64;

#[derive(Debug)]
pub(super) struct Epoll(CloseOnFork<OwnedFd>);

/// A socket that is ready, by its token. After an error a socket counts as ready for everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) token: u64,
    pub(super) output: bool,
}

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        CloseOnFork::open(|| {
            // SAFETY: takes no pointers.
            let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the descriptor was just opened, and nothing else owns it.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        })
        .map(Self)
    }

    pub(super) fn add(&self, socket: &impl AsRawFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket.as_raw_fd(), token, interest)
    }

    pub(super) fn change(&self, socket: &impl AsRawFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket.as_raw_fd(), token, interest)
    }

    /// Called before the socket is closed: a program that is being started may hold a copy of it, which would keep it watched.
    pub(super) fn remove(&self, socket: &impl AsRawFd) {
        // This fails only when the socket is not watched.
        let _ = self.control(libc::EPOLL_CTL_DEL, socket.as_raw_fd(), 0, Interest::default());
    }

    /// Gives the sockets that are ready now, without waiting.
    pub(super) fn ready(&self) -> Vec<Ready> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; AT_ONCE];
        // SAFETY: the pointer and the count are those of an array that outlives the call.
        let found =
            unsafe { libc::epoll_wait(self.as_raw_fd(), events.as_mut_ptr(), AT_ONCE as libc::c_int, 0) };
        // A call that was interrupted has found nothing; the next one does.
        let found = usize::try_from(found).unwrap_or(0);
        let failed = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
        let output = libc::EPOLLOUT as u32 | failed;
        events[..found]
            .iter()
            .map(|event| Ready { token: event.u64, output: event.events & output != 0 })
            .collect()
    }

    fn control(&self, what: libc::c_int, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        let input = if interest.input { libc::EPOLLIN | libc::EPOLLRDHUP } else { 0 };
        let output = if interest.output { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event { events: (input | output) as u32, u64: token };
        // SAFETY: the event outlives the call, which copies it.
        match unsafe { libc::epoll_ctl(self.as_raw_fd(), what, fd, &raw mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
