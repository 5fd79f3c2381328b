//! The sends of the plain loop through io_uring, as many by one system call as fit into its queue.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use io_uring::{IoUring, opcode, types};

/// The argument behind the plain server's own by which it sends through io_uring.
pub(crate) const ARGUMENT: &str = "--ring";

/// The number of sends in one call.
const AT_ONCE: usize = 256;

pub(crate) struct Ring(IoUring);

/// Says why this machine has no io_uring, if it has none.
pub(crate) fn missing() -> Option<String> {
    IoUring::new(1).err().map(|error| format!("this machine permits no io_uring: {error}"))
}

impl Ring {
    pub(crate) fn open() -> std::io::Result<Self> {
        IoUring::new(AT_ONCE as u32).map(Self)
    }

    /// Sends the bytes to all sockets. What a socket does not take is dropped, which the sockets of the benchmark do not do to so
    /// little.
    #[allow(unsafe_code)]
    pub(crate) fn send(&mut self, sockets: &[BorrowedFd<'_>], bytes: &[u8]) -> std::io::Result<()> {
        for some in sockets.chunks(AT_ONCE) {
            for socket in some {
                let entry =
                    opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32)
                        .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
                        .build();
                // SAFETY: the bytes and the descriptors are borrowed until the kernel has answered all that it got, below.
                unsafe { self.0.submission().push(&entry) }.map_err(std::io::Error::other)?;
            }
            let mut missing = some.len();
            while missing > 0 {
                self.0.submit_and_wait(missing)?;
                missing -= self.0.completion().count();
            }
        }
        Ok(())
    }
}
