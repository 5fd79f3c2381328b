//! One client's record: small, because there are many and most of them idle.

use mio::net::TcpStream;

use super::members::Memberships;
use super::outbox::Outbox;
use super::session::Session;
use super::turn::Chain;
use crate::client::websocket::Unfinished;

pub(super) struct Connection {
    pub(super) socket: TcpStream,
    pub(super) number: u32,
    /// What it gets this turn.
    pub(super) pending: Chain,
    pub(super) phase: Phase,
    /// Looks of the heartbeat since it was heard.
    pub(super) quiet: u8,
    pub(super) takes_deflated: bool,
    /// It is not read until whoever is told of its messages takes more.
    pub(super) is_paused: bool,
    extra: Option<Box<Extra>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// A close frame is on its way; the peer's is awaited.
    Closing,
    /// A close frame is on its way; what the peer says is not understood any more and is thrown away.
    Discarding,
    /// Both close frames are known; closes once all is written.
    Finishing,
}

/// What most connections lack most of the time.
#[derive(Default)]
pub(super) struct Extra {
    pub(super) memberships: Memberships,
    pub(super) session: Session,
    pub(super) unfinished: Option<Box<Unfinished>>,
    pub(super) outbox: Outbox,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, number: u32, takes_deflated: bool) -> Self {
        Self {
            socket,
            number,
            pending: Chain::EMPTY,
            phase: Phase::Open,
            quiet: 0,
            takes_deflated,
            is_paused: false,
            extra: None,
        }
    }

    pub(super) fn extra(&self) -> Option<&Extra> {
        self.extra.as_deref()
    }

    pub(super) fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub(super) fn existing_extra_mut(&mut self) -> Option<&mut Extra> {
        self.extra.as_deref_mut()
    }

    pub(super) fn has_outbox(&self) -> bool {
        self.extra().is_some_and(|extra| !extra.outbox.is_empty())
    }

    /// The socket and what waits for it, apart.
    pub(super) fn socket_and_outbox(&mut self) -> (&mut TcpStream, Option<&mut Outbox>) {
        (&mut self.socket, self.extra.as_deref_mut().map(|extra| &mut extra.outbox))
    }

    /// Gives the extra box back when nothing is in it.
    pub(super) fn slim(&mut self) {
        if self.extra().is_some_and(Extra::is_empty) {
            self.extra = None;
        }
    }
}

impl Extra {
    fn is_empty(&self) -> bool {
        let Self { memberships, session, unfinished, outbox } = self;
        memberships.is_empty() && session.is_empty() && unfinished.is_none() && outbox.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_small() {
        // mio keeps the poll's id in debug builds.
        let limit = if cfg!(debug_assertions) { 40 } else { 32 };
        assert!(size_of::<Connection>() <= limit, "{} bytes", size_of::<Connection>());
    }
}
