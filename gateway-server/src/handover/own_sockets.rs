//! The listening sockets of a process that executes itself anew: it sends them to itself, so that what waits in them is not reset.
//!
//! The standard input alone stays open, so that is a socket pair's end, in which the sockets wait.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use super::channel::{Channel, ChannelError, PATIENCE, Received, pair};
use super::message::{ListeningSocket, Message};
use super::spawn::VARIABLE;

/// The value of the variable in a process that has executed itself anew.
pub(super) const OWN_SOCKETS: &str = "own sockets";

/// Executes this program anew, with these sockets. Gives why that has failed.
pub fn start_anew(listeners: Vec<ListeningSocket>, sockets: &[BorrowedFd<'_>]) -> io::Error {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let program = std::env::current_exe().unwrap_or_else(|_| name.clone().into());
    let mut command = Command::new(program);
    // The name may be a link, by which the next upgrade finds the program.
    command.arg0(name).args(arguments);
    // Without the sockets it binds the ports again.
    match keep(listeners, sockets) {
        Ok(kept) => command.stdin(Stdio::from(kept)).env(VARIABLE, OWN_SOCKETS),
        Err(_) => command.env_remove(VARIABLE),
    };
    command.exec()
}

fn keep(listeners: Vec<ListeningSocket>, sockets: &[BorrowedFd<'_>]) -> Result<OwnedFd, ChannelError> {
    let (mut channel, kept) = pair(PATIENCE)?;
    channel.send(&[&Message::Listeners(listeners).to_bytes()], sockets)?;
    Ok(kept)
}

/// Receives the sockets that this process has sent to itself, or none.
pub(super) fn receive(mut channel: Channel) -> (Vec<ListeningSocket>, Vec<OwnedFd>) {
    let Ok(Received::Parcel(parcel)) = channel.receive() else { return Default::default() };
    match Message::from_bytes(&parcel.bytes) {
        Ok((Message::Listeners(listeners), _)) if listeners.len() == parcel.descriptors.len() => {
            (listeners, parcel.descriptors)
        }
        _ => Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::super::message::Port;
    use super::*;

    #[test]
    fn sockets_that_were_kept_are_received_with_what_they_are() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners = vec![ListeningSocket { port: Port::Register, address: "127.0.0.1:0".to_owned() }];
        let kept = keep(listeners.clone(), &[listener.as_fd()]).unwrap();
        let (described, sockets) = receive(Channel::new(kept, PATIENCE));
        assert_eq!((described, sockets.len()), (listeners.clone(), 1));
        let socket = std::net::TcpListener::from(sockets.into_iter().next().unwrap());
        assert_eq!(socket.local_addr().unwrap(), listener.local_addr().unwrap());
        // One socket less than is described is none at all.
        let kept = keep(listeners, &[]).unwrap();
        let (described, sockets) = receive(Channel::new(kept, PATIENCE));
        assert!(described.is_empty() && sockets.is_empty());
    }
}
