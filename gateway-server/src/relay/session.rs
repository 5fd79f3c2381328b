//! One relayed client: its two sockets, its TLS session, and how far the end of each direction has come.

use std::io::{self, ErrorKind};
use std::time::Instant;

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use super::client::RelayedClient;
use crate::net::tls::{ENCRYPTED_AT_ONCE, TlsSession};
use crate::net::{received_bytes, reset_on_close};

/// The number of bytes that go in one direction before other clients have their turn.
pub(super) const TURN: usize = 256 << 10;
/// The number of bytes that are taken from the serving process at once, which TLS encrypts at once.
pub(super) const TAKEN_AT_ONCE: usize = ENCRYPTED_AT_ONCE;

/// One relayed client.
pub(super) struct Session {
    pub(super) tcp: TcpStream,
    pub(super) tls: Box<TlsSession>,
    pub(super) pair: UnixStream,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    /// When the client has last taken something, once the serving process has closed its end. Until then, a client that takes
    /// nothing is the serving process's matter.
    pub(super) orphaned: Option<Instant>,
    /// What there is to do in the next turn.
    pub(super) next: Ready,
}

/// The direction from the client to the serving process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inbound {
    Open,
    /// The client sends nothing more, and the serving process has been told so.
    Ended,
    /// The serving process takes nothing more.
    Refused,
}

/// The direction from the serving process to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outbound {
    Open,
    /// The serving process sends nothing more; the last bytes, and the end of the TLS session behind them, are on their way.
    Ending,
    /// The client has been told that nothing more comes.
    Ended,
    /// The client takes nothing more.
    Refused,
}

/// What is left to do after a share of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// A socket says when there is more.
    Nothing,
    /// There may be more at once.
    More,
    /// The connection is to be reset: the serving process has done so.
    Reset,
}

/// What the sockets of a client have become ready for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ready {
    pub(super) inbound: bool,
    pub(super) outbound: bool,
    /// The serving process may have closed its end as a whole.
    pub(super) is_orphaned: bool,
    /// The client's socket has failed.
    pub(super) has_failed: bool,
}

impl Ready {
    /// Whether a direction is to be carried on.
    pub(super) fn is_any(self) -> bool {
        self.inbound || self.outbound
    }
}

impl Session {
    pub(super) fn new(client: RelayedClient) -> Self {
        let RelayedClient { tcp, tls, pair } = client;
        let (inbound, outbound) = (Inbound::Open, Outbound::Open);
        Self { tcp, tls, pair, inbound, outbound, orphaned: None, next: Ready::default() }
    }

    /// Has both sockets polled. The first poll tells what is ready now.
    pub(super) fn register(&mut self, registry: &Registry, tcp: Token, pair: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut self.tcp, tcp, interest)?;
        registry.register(&mut self.pair, pair, interest)
    }

    /// Whether nothing is left to carry in either direction.
    pub(super) fn is_over(&self) -> bool {
        self.inbound != Inbound::Open && matches!(self.outbound, Outbound::Ended | Outbound::Refused)
    }

    /// Writes what is encrypted until nothing is left or the client takes no more. Gives whether nothing is left.
    pub(super) fn flush(&mut self) -> bool {
        while matches!(self.outbound, Outbound::Open | Outbound::Ending) && self.tls.wants_write() {
            match self.tls.send(&mut self.tcp) {
                Ok(length) if length > 0 => {
                    self.orphaned = self.orphaned.map(|_| Instant::now());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What the client had sent before can still be read.
                _ => self.outbound = Outbound::Refused,
            }
        }
        true
    }

    /// Ends the connection at once: with the end of the TLS session if nothing waits for the client, and else by a reset, so that the
    /// client does not take the part for the whole.
    pub(super) fn cut(mut self) {
        if self.outbound == Outbound::Open && self.flush() && received_bytes(&self.pair) == 0 {
            self.tls.close();
            self.outbound = Outbound::Ending;
        }
        if self.outbound == Outbound::Open || !self.flush() {
            self.reset();
        }
    }

    /// Resets the connection: the client gets nothing more.
    pub(super) fn reset(self) {
        reset_on_close(&self.tcp);
    }
}
