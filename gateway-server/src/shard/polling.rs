//! The sockets of connections in the shard's poll, and what it reports of them. The key of a connection is its token there.

use std::io::{self, ErrorKind};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::connection::Connection;

/// What the poll reports of a socket for which something waits, or may wait in its TLS session. Of others it reports only what they
/// send, as a new socket would else wake the shard's thread to say that it can be written to.
const WAITED_FOR: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// What the poll has to report of a connection's socket.
fn interest(connection: &Connection) -> Interest {
    if connection.is_tls || connection.has_outbox() { WAITED_FOR } else { Interest::READABLE }
}

/// Puts the socket of a connection into the poll, if it has one.
pub(super) fn begin(key: usize, connection: &mut Connection, registry: &Registry) -> io::Result<()> {
    let interest = interest(connection);
    let Some(socket) = &mut connection.socket else { return Ok(()) };
    registry.register(socket, Token(key), interest)
}

/// Puts the socket of a connection into the poll under another key than before.
pub(super) fn begin_again(key: usize, connection: &mut Connection, registry: &Registry) -> io::Result<()> {
    let interest = interest(connection);
    let Some(socket) = &mut connection.socket else { return Ok(()) };
    match change(socket, key, interest, registry)? {
        Found::Polled => Ok(()),
        // This puts it there before its turn.
        Found::Unpolled => registry.register(socket, Token(key), interest),
    }
}

/// Puts the socket of a connection that was taken over into the poll, if it is not there and has not gone.
pub(super) fn begin_late(key: usize, connection: &mut Connection, registry: &Registry) -> io::Result<()> {
    begin(key, connection, registry).or_else(|error| match (error.kind(), &mut connection.socket) {
        // Another connection has the key by now, or the client has come back on another socket.
        (ErrorKind::AlreadyExists, _) | (_, None) => Ok(()),
        (_, Some(socket)) => {
            // In a debug build, mio would take it for registered otherwise.
            let _ = registry.deregister(socket);
            Err(error)
        }
    })
}

/// Has the poll report when the socket of a connection takes more. One that is not polled yet comes into the poll with that.
pub(super) fn report_room(key: usize, connection: &mut Connection, registry: &Registry) -> io::Result<()> {
    match &mut connection.socket {
        Some(socket) if !connection.is_tls => change(socket, key, WAITED_FOR, registry).map(drop),
        _ => Ok(()),
    }
}

/// Whether a socket is in the poll. One that was taken over comes there in its turn.
enum Found {
    Polled,
    Unpolled,
}

/// Changes the key and what is reported of a socket, if it is in the poll.
fn change(socket: &mut TcpStream, key: usize, interest: Interest, registry: &Registry) -> io::Result<Found> {
    match registry.reregister(socket, Token(key), interest) {
        Ok(()) => Ok(Found::Polled),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Unpolled),
        Err(error) => Err(error),
    }
}
