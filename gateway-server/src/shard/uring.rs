//! Sends to many sockets by one system call, through io_uring. To many clients this costs a sixth less processor time.
//!
//! Nothing is asynchronous about it. Each send is flagged not to wait, so the kernel has finished it when the call returns.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use io_uring::{IoUring, Probe, opcode, squeue, types};

/// The largest number of sends in one call.
pub const AT_ONCE: usize = 256;
/// With fewer sends than this, plain calls are as good.
pub const WORTHWHILE: usize = 8;

/// One io_uring instance, which serves the sends of one shard.
pub struct Ring {
    uring: IoUring,
    outcomes: Vec<Option<Outcome>>,
    /// Makes the kernel fail after this many sends of a call, for a test.
    #[cfg(test)]
    pub(super) fails_after: Option<u32>,
}

/// The kernel's result of a send: the number of bytes that it took, or the negative number of an error.
pub type Outcome = i32;

/// One send: the bytes, and the socket that they are for.
pub struct Send<'a> {
    pub socket: BorrowedFd<'a>,
    pub bytes: &'a [u8],
}

impl Ring {
    /// Opens an io_uring. This fails where the kernel has none, or denies it to this process, as in most containers.
    pub fn open() -> io::Result<Self> {
        let uring = IoUring::new(AT_ONCE as u32)?;
        let mut probe = Probe::new();
        uring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Send::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self {
            uring,
            outcomes: Vec::with_capacity(AT_ONCE),
            #[cfg(test)]
            fails_after: None,
        })
    }

    /// Does all sends, at most [`AT_ONCE`], and gives the outcome of each; a send that the kernel never tried has none. After an
    /// error the ring must not be used again, but the outcomes are right.
    #[allow(unsafe_code)]
    pub fn send(&mut self, sends: &[Send<'_>]) -> (&[Option<Outcome>], io::Result<()>) {
        self.outcomes.clear();
        self.outcomes.resize(sends.len(), None);
        let mut queued = 0;
        for (index, send) in sends.iter().enumerate() {
            let entry = entry(send, index);
            // SAFETY: the descriptor and the bytes are borrowed until this method returns, and by then the kernel has answered
            // every entry that it took. Entries that it did not take are dropped together with the ring.
            if unsafe { self.uring.submission().push(&entry) }.is_err() {
                break;
            }
            queued += 1;
        }
        let result = self.complete(queued);
        (&self.outcomes, result)
    }

    fn complete(&mut self, mut missing: usize) -> io::Result<()> {
        while missing > 0 {
            match self.enter(missing) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    // The kernel has finished the sends that it took before it failed, as each is over when the call returns.
                    self.collect();
                    return Err(error);
                }
                _ => missing = missing.saturating_sub(self.collect()),
            }
        }
        Ok(())
    }

    fn enter(&mut self, missing: usize) -> io::Result<usize> {
        #[cfg(test)]
        if let Some(taken) = self.fails_after {
            return tests::fail_after(&self.uring, taken);
        }
        self.uring.submit_and_wait(missing)
    }

    fn collect(&mut self) -> usize {
        let mut collected = 0;
        for completed in self.uring.completion() {
            // A send that the kernel calls cancelled was never tried.
            if let Some(outcome) = self.outcomes.get_mut(completed.user_data() as usize)
                && completed.result() != -libc::ECANCELED
            {
                *outcome = Some(completed.result());
            }
            collected += 1;
        }
        collected
    }
}

fn entry(send: &Send<'_>, index: usize) -> squeue::Entry {
    // A frame is far shorter than the largest `u32`.
    opcode::Send::new(types::Fd(send.socket.as_raw_fd()), send.bytes.as_ptr(), send.bytes.len() as u32)
        .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
        .build()
        .user_data(index as u64)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Makes the kernel take this many of the queued sends, and then fails.
    #[allow(unsafe_code)]
    pub(super) fn fail_after(uring: &IoUring, taken: u32) -> io::Result<usize> {
        const WAIT: u32 = 1;
        // SAFETY: the caller of the send borrows what was queued, and the call gets no argument.
        unsafe { uring.submitter().enter::<()>(taken, taken, WAIT, None) }.unwrap();
        Err(io::Error::from_raw_os_error(libc::ENOMEM))
    }

    #[test]
    fn after_a_failure_what_was_done_is_told_from_what_was_never_tried() {
        let Ok(mut ring) = Ring::open() else {
            return println!("SKIPPED a failure of io_uring: this machine does not permit it");
        };
        for taken in 0..4 {
            let pairs: Vec<_> = (0..3).map(|_| UnixStream::pair().unwrap()).collect();
            let sends: Vec<_> =
                pairs.iter().map(|(socket, _)| Send { socket: socket.as_fd(), bytes: b"hi" }).collect();
            ring.fails_after = Some(taken);
            let (outcomes, result) = ring.send(&sends);
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ENOMEM));
            for (index, outcome) in outcomes.iter().enumerate() {
                assert_eq!(*outcome, (index < taken as usize).then_some(2), "{index} of {taken}");
            }
            ring = Ring::open().unwrap();
        }
    }

    #[test]
    fn every_send_has_the_outcome_of_a_plain_one() {
        let Ok(mut ring) = Ring::open() else {
            return println!("SKIPPED sends through io_uring: this machine does not permit it");
        };
        for count in [1, 3, AT_ONCE] {
            let pairs: Vec<_> = (0..count).map(|_| UnixStream::pair().unwrap()).collect();
            // The first socket gets more than it takes, and the last one's peer has closed.
            let (_full, rest) = pairs.split_first().unwrap();
            let much = vec![b'x'; 8 << 20];
            let is_gone = |index: usize| count > 1 && index == count - 1;
            if let Some((_, (_, peer))) = rest.split_last().map(|(last, others)| (others, last)) {
                peer.shutdown(std::net::Shutdown::Both).unwrap();
            }
            let bytes: Vec<Vec<u8>> = (0..count).map(|index| format!("to {index}").into_bytes()).collect();
            let sends: Vec<_> = pairs
                .iter()
                .zip(&bytes)
                .enumerate()
                .map(|(index, ((socket, _), bytes))| Send {
                    socket: socket.as_fd(),
                    bytes: if index == 0 { &much } else { bytes },
                })
                .collect();
            let (outcomes, result) = ring.send(&sends);
            result.unwrap();
            assert_eq!(outcomes.len(), count);
            let in_part = outcomes[0].unwrap();
            assert!((1..much.len() as i32).contains(&in_part), "in part: {in_part}");
            for (index, outcome) in outcomes.iter().enumerate().skip(1) {
                let expected = if is_gone(index) { -libc::EPIPE } else { bytes[index].len() as i32 };
                assert_eq!(*outcome, Some(expected), "{index} of {count}");
            }
            let (outcomes, _) = ring.send(&sends[..1]);
            assert_eq!(outcomes, [Some(-libc::EAGAIN)], "full");
            for (index, (_, peer)) in rest.iter().enumerate().filter(|(index, _)| !is_gone(index + 1)) {
                let mut read = [0; 16];
                let length = (&*peer).read(&mut read).unwrap();
                assert_eq!(read[..length], bytes[index + 1]);
            }
        }
    }
}
