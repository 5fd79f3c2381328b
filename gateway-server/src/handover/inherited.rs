//! The new server's end of the channel, as it inherits that from the server that has started it.
//!
//! The channel is the standard input of the new process, since that is the one descriptor that a process can be given, and can
//! take, without touching numbers of descriptors that may belong to others.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::sockopt::{socket_domain, socket_peercred, socket_type};
use rustix::net::{AddressFamily, SocketType};

use super::channel::{Channel, PATIENCE};
use super::message::ListeningSocket;
use super::own_sockets::{OWN_SOCKETS, receive};
use super::spawn::{STANDARD_INPUT, VARIABLE};

/// Why a process that was told of a hand-over takes no part in one.
#[derive(Debug, thiserror::Error)]
pub enum NoHandOver {
    #[error(
        "{VARIABLE} is {0:?}, and only a gateway-server sets it for the next one, to {STANDARD_INPUT} or {OWN_SOCKETS:?}"
    )]
    Value(std::ffi::OsString),
    #[error(
        "{VARIABLE} is set, and the standard input is not the channel of a hand-over, which is a unix stream socket"
    )]
    NoChannel,
    #[error(
        "the channel of the hand-over belongs to process {found}, and process {parent} has started this one"
    )]
    Stranger { found: i32, parent: i32 },
    #[error("the channel of the hand-over cannot be taken: {0}")]
    Io(#[from] io::Error),
}

/// What a process was started with.
#[derive(Debug)]
pub enum Inherited {
    Nothing,
    /// The channel from a process that hands over.
    Channel(Channel),
    /// The listening sockets that this process has had before it executed itself anew, each as it is described.
    OwnSockets(Vec<ListeningSocket>, Vec<OwnedFd>),
}

/// Takes what this process was started with. The standard input is empty from then on.
pub fn inherited() -> Result<Inherited, NoHandOver> {
    let Some(value) = std::env::var_os(VARIABLE) else { return Ok(Inherited::Nothing) };
    if value != STANDARD_INPUT && value != OWN_SOCKETS {
        return Err(NoHandOver::Value(value));
    }
    let is_own = value == OWN_SOCKETS;
    let giver = if is_own { getpid() } else { getppid() };
    let channel = check(io::stdin().as_fd().try_clone_to_owned()?, giver)?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?).map_err(io::Error::from)?;
    if !is_own {
        return Ok(Inherited::Channel(channel));
    }
    let (listeners, sockets) = receive(channel);
    Ok(Inherited::OwnSockets(listeners, sockets))
}

/// Makes a channel of a socket whose other end is that of the parent, which is process `parent`.
fn check(socket: OwnedFd, parent: i32) -> Result<Channel, NoHandOver> {
    let is_channel = socket_domain(&socket).is_ok_and(|domain| domain == AddressFamily::UNIX)
        && socket_type(&socket).is_ok_and(|kind| kind == SocketType::STREAM);
    if !is_channel {
        return Err(NoHandOver::NoChannel);
    }
    let found = socket_peercred(&socket).map_err(|_| NoHandOver::NoChannel)?.pid.as_raw_nonzero().get();
    // A parent that has died meanwhile is not the parent any more. Its end is closed then, so it hands nothing over.
    let channel = Channel::new(socket, PATIENCE);
    if found != parent && !channel.is_closed()? {
        return Err(NoHandOver::Stranger { found, parent });
    }
    Ok(channel)
}

fn getpid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

fn getppid() -> i32 {
    rustix::process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    #[test]
    fn what_is_no_channel_of_the_parent_is_refused() {
        let error = |socket: OwnedFd| check(socket, getppid()).unwrap_err();
        assert!(matches!(error(std::fs::File::open("/dev/null").unwrap().into()), NoHandOver::NoChannel));
        assert!(matches!(error(UdpSocket::bind("127.0.0.1:0").unwrap().into()), NoHandOver::NoChannel));
        assert!(matches!(error(UnixDatagram::pair().unwrap().0.into()), NoHandOver::NoChannel));
        // This process is not its own parent.
        let (one, other) = UnixStream::pair().unwrap();
        assert!(matches!(error(one.into()), NoHandOver::Stranger { .. }));
        // One that is closed is not refused: the old server may have died right after the start.
        let (one, _) = UnixStream::pair().unwrap();
        check(one.into(), getppid()).unwrap();
        drop(other);
    }
}
