//! One client's record: small, because there are many and most of them idle.

use mio::net::TcpStream;

use super::members::Memberships;
use super::outbox::Outbox;
use super::session::Session;
use super::turn::Chain;
use crate::client::{Form, Unfinished};

pub(super) struct Connection {
    pub(super) socket: TcpStream,
    pub(super) number: u32,
    /// What it gets this turn.
    pub(super) pending: Chain,
    pub(super) phase: Phase,
    /// Looks of the heartbeat since it was heard.
    pub(super) quiet: u8,
    /// In which it gets messages.
    pub(super) form: Form,
    /// Where it came in: which of the shard's doors.
    pub(super) door: u8,
    /// It is not read until whoever is told of its messages takes more.
    pub(super) is_paused: bool,
    extra: Option<Box<Extra>>,
}

// Half of a cache line. A debug build's sockets are larger.
const _: () = assert!(cfg!(debug_assertions) || size_of::<Connection>() <= 32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// A close frame is on its way; the peer's is awaited.
    Closing,
    /// The last bytes are on their way, which is a close frame for a websocket; what the peer says is thrown away.
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
    pub(super) fn new(socket: TcpStream, number: u32, form: Form, door: u8) -> Self {
        Self {
            socket,
            number,
            pending: Chain::EMPTY,
            phase: Phase::Open,
            quiet: 0,
            form,
            door,
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
