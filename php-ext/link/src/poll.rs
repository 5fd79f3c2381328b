//! `poll(2)`, and the descriptors that wake the I/O thread from it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::time::Duration;

use once_cell::sync::OnceCell;

use crate::fork::CloseOnFork;

/// Wakes the I/O thread: at once by an eventfd, or later by a timer.
#[derive(Debug)]
pub(crate) struct Waker {
    event: CloseOnFork<File>,
    /// The timer, which is made when it is first wanted, as few programs batch.
    timer: OnceCell<CloseOnFork<File>>,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let event = watched_file(|| unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
        Ok(Self { event, timer: OnceCell::new() })
    }

    /// Runs in the PHP thread: makes [`Waker::wake_after`] work. When this gives true, the I/O thread has to be woken once, so
    /// that it watches the timer.
    pub(crate) fn add_timer(&self) -> io::Result<bool> {
        let mut is_new = false;
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        self.timer.get_or_try_init(|| {
            is_new = true;
            // SAFETY: takes no pointers.
            watched_file(|| unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })
        })?;
        Ok(is_new)
    }

    pub(crate) fn wake(&self) {
        // The write fails only when the counter is full, and then the reader is awake.
        let _ = (&*self.event).write(&1u64.to_ne_bytes());
    }

    /// Sets the timer to less than a second, in place of the time set before. Zero stops it.
    pub(crate) fn wake_after(&self, time: Duration) {
        let Some(timer) = self.timer.get() else { return };
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let after = libc::timespec { tv_nsec: time.subsec_nanos().into(), ..never };
        let once = libc::itimerspec { it_interval: never, it_value: after };
        // SAFETY: it reads `once`, and is told to write nothing. With such values it does not fail.
        unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const once, std::ptr::null_mut()) };
    }

    pub(crate) fn clear(&self) {
        // The reads fail only when nothing has woken the thread.
        let _ = (&*self.event).read(&mut [0; 8]);
        if let Some(timer) = self.timer.get() {
            let _ = (&**timer).read(&mut [0; 8]);
        }
    }
}

fn watched_file(open: impl Fn() -> RawFd) -> io::Result<CloseOnFork<File>> {
    CloseOnFork::open(|| match open() {
        // SAFETY: the descriptor was just opened, and nothing else owns it.
        fd if fd >= 0 => Ok(unsafe { File::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    })
}

/// The events that a socket is watched for. Its end is always watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) input: bool,
    pub(crate) output: bool,
}

/// Waits for a wake or for the socket, without a timeout for ever. Gives whether it was woken.
pub(crate) fn wait(
    wake: Option<&Waker>,
    socket: Option<(RawFd, Interest)>,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let woken = |fd: Option<&CloseOnFork<File>>| {
        (fd.map_or(-1, |fd| fd.as_raw_fd()), Interest { input: true, output: false })
    };
    let (event, timer) = (wake.map(|wake| &wake.event), wake.and_then(|wake| wake.timer.get()));
    let socket = socket.unwrap_or((-1, Interest::default()));
    poll([woken(event), woken(timer), socket], timeout).map(|[event, timer, _]| event || timer)
}

/// Waits for either of two sockets, at most for `timeout` and until a signal comes. Gives whether one is ready.
pub(crate) fn wait_for_either(
    one: Option<(RawFd, Interest)>,
    other: Option<(RawFd, Interest)>,
    timeout: Duration,
) -> io::Result<bool> {
    let nothing = (-1, Interest::default());
    poll([one.unwrap_or(nothing), other.unwrap_or(nothing)], Some(timeout)).map(|[one, other]| one || other)
}

/// How a wait for input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// Input arrived, or the connection ended.
    Input,
    /// A signal came.
    Signal,
    /// The time has passed.
    Timeout,
}

/// Waits until input arrives, a signal comes or `timeout` passes; without a timeout, as long as that takes. `is_interrupted` is
/// called with all signals blocked: a signal that came before is seen by it, and one that comes later ends the sleep.
pub(crate) fn wait_interruptibly(
    socket: RawFd,
    timeout: Option<Duration>,
    is_interrupted: impl FnOnce() -> bool,
) -> io::Result<WaitEnd> {
    let timeout = timeout.map(|time| libc::timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let mut polled = libc::pollfd { fd: socket, events: libc::POLLIN | libc::POLLRDHUP, revents: 0 };
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset fills what it is given; pthread_sigmask reads the one and fills the other.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let ended = if is_interrupted() {
        Ok(WaitEnd::Signal)
    } else {
        // SAFETY: the pointers lead to one pollfd, to a time that outlives the call or is null, and to the mask filled above.
        match unsafe { libc::ppoll(&raw mut polled, 1, timeout, before.as_ptr()) } {
            0 => Ok(WaitEnd::Timeout),
            found if found > 0 => Ok(WaitEnd::Input),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the mask was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    match ended {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(WaitEnd::Signal),
        ended => ended,
    }
}

/// Gives which of the descriptors are ready; none when the wait is interrupted. Negative descriptors are skipped.
fn poll<const N: usize>(watched: [(RawFd, Interest); N], timeout: Option<Duration>) -> io::Result<[bool; N]> {
    let mut polled = watched.map(|(fd, interest)| {
        let input = if interest.input { libc::POLLIN } else { 0 };
        let output = if interest.output { libc::POLLOUT } else { 0 };
        libc::pollfd { fd, events: input | output | libc::POLLRDHUP, revents: 0 }
    });
    let mut look = |milliseconds| {
        // SAFETY: the pointer and the count are those of an array that outlives the call.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, milliseconds) }
    };
    #[cfg(not(all(test, feature = "models")))]
    let found = look(milliseconds(timeout));
    // In a model the other threads go on meanwhile. The passing of time wakes no thread, so that a missing wake is found.
    #[cfg(all(test, feature = "models"))]
    let found = loop {
        match look(0) {
            0 if timeout != Some(Duration::ZERO) => crate::sync::thread::yield_now(),
            found => break found,
        }
    };
    if found < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::Interrupted => Ok([false; N]),
            _ => Err(error),
        };
    }
    Ok(polled.map(|polled| polled.revents != 0))
}

/// Rounds up, so that a wait never ends just before its time.
fn milliseconds(timeout: Option<Duration>) -> libc::c_int {
    match timeout {
        None => -1,
        Some(timeout) => timeout.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(libc::c_int::MAX),
    }
}

/// Gives how many bytes written to a TCP socket the system has not sent at all, and 0 for other sockets.
pub(crate) fn unsent_bytes(socket: RawFd) -> usize {
    /// The request is SIOCOUTQNSD of linux/sockios.h.
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
        let wake = Waker::new().unwrap();
        assert!(!wait(Some(&wake), None, Some(Duration::ZERO)).unwrap());
        wake.wake();
        wake.wake();
        assert!(wait(Some(&wake), None, None).unwrap());
        wake.clear();
        assert!(!wait(Some(&wake), None, Some(Duration::ZERO)).unwrap());
    }

    #[test]
    fn a_timer_wakes_later_unless_it_is_called_off() {
        let wake = Waker::new().unwrap();
        assert!(wake.add_timer().unwrap());
        wake.wake_after(Duration::from_micros(10));
        assert!(wait(Some(&wake), None, None).unwrap());
        wake.clear();
        wake.wake_after(Duration::from_millis(1));
        wake.wake_after(Duration::ZERO);
        assert!(!wait(Some(&wake), None, Some(Duration::from_millis(20))).unwrap());
    }

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(milliseconds(None), -1);
        assert_eq!(milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Some(Duration::from_micros(1))), 1);
        assert_eq!(milliseconds(Some(Duration::MAX)), libc::c_int::MAX);
    }
}
