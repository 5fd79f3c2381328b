//! Looks at what a socket has received, without taking it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::poll::{self, Interest};

/// Whether the socket receives nothing for so long, neither bytes nor an end.
pub(crate) fn is_silent(socket: &Socket, patience: Duration) -> io::Result<bool> {
    wait(Some(socket), None, patience)?;
    Ok(matches!(peek(socket), Peeked::Empty))
}

pub(crate) enum Peeked {
    Empty,
    Data,
    End,
    /// The connection did not end in order.
    Broken,
}

/// Looks without waiting.
pub(crate) fn peek(socket: &Socket) -> Peeked {
    let mut byte = [MaybeUninit::uninit()];
    match socket.recv_with_flags(&mut byte, libc::MSG_PEEK | libc::MSG_DONTWAIT) {
        Ok(1..) => Peeked::Data,
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Peeked::Empty
        }
        Ok(0) => Peeked::End,
        Err(_) => Peeked::Broken,
    }
}

/// Waits until one of the sockets has received something, or has ended. PHP's thread may wait here, and a signal for PHP does not end
/// that.
pub(crate) fn wait(one: Option<&Socket>, other: Option<&Socket>, timeout: Duration) -> io::Result<()> {
    let deadline = Instant::now() + timeout;
    let watched = |socket: Option<&Socket>| {
        socket.map(|socket| (socket.as_raw_fd(), Interest { input: true, output: false }))
    };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if poll::wait_for_either(watched(one), watched(other), left)? || left.is_zero() {
            return Ok(());
        }
    }
}
