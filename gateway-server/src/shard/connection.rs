//! One client's record: small, because there are many and most of them idle.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rustls::ServerConnection;

use super::cold::ColdState;
use super::membership::Memberships;
use super::outbox::Outbox;
use super::session::Session;
use super::tls::{ENCRYPTED, TlsSocket};
use super::write_batch::FrameList;
use crate::protocol::{Encoding, PartialMessage};

pub(super) struct Connection {
    pub(super) socket: TcpStream,
    pub(super) number: u32,
    /// What it gets this turn.
    pub(super) pending: FrameList,
    pub(super) phase: Phase,
    /// Looks of the heartbeat since it was heard.
    pub(super) quiet: u8,
    /// In which it gets messages.
    pub(super) form: Encoding,
    /// Where it came in: which of the shard's doors.
    pub(super) door: u8,
    pub(super) waits: Waits,
    /// It has taken the last of what waited for it since its close began, and may need time to answer.
    pub(super) has_caught_up: bool,
    /// Its socket is to be used by [`Connection::tls`] only.
    pub(super) is_tls: bool,
    extra: Option<Box<ConnectionExt>>,
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
    /// The last bytes have been written, and the peer knows that nothing follows; what it still says is thrown away.
    Shut,
    /// Both close frames are known; closes once all is written.
    Finishing,
}

/// Why a client is not read though it may have said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    No,
    /// It has had its share.
    ForItsTurn,
    /// Until whoever is told of its messages takes more.
    ForEventsTaken,
}

/// What most connections lack most of the time.
#[derive(Default)]
pub(super) struct ConnectionExt {
    pub(super) memberships: Memberships,
    pub(super) session: Session,
    rare: Option<Box<ColdState>>,
    pub(super) outbox: Outbox,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, number: u32, form: Encoding, door: u8) -> Self {
        Self {
            socket,
            number,
            pending: FrameList::EMPTY,
            phase: Phase::Open,
            quiet: 0,
            form,
            door,
            waits: Waits::No,
            has_caught_up: false,
            is_tls: false,
            extra: None,
        }
    }

    /// Where it comes from. Asks the system, unless a proxy has said so; it does not know any more once the client has gone.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        let said = self.extra().and_then(|extra| extra.rare.as_ref()?.address);
        said.or_else(|| {
            let peer = self.socket.peer_addr().ok()?;
            Some(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
        })
    }

    pub(super) fn extra(&self) -> Option<&ConnectionExt> {
        self.extra.as_deref()
    }

    pub(super) fn extra_mut(&mut self) -> &mut ConnectionExt {
        self.extra.get_or_insert_default()
    }

    pub(super) fn existing_extra_mut(&mut self) -> Option<&mut ConnectionExt> {
        self.extra.as_deref_mut()
    }

    /// From now on what is said goes through it.
    pub(super) fn speak_tls(&mut self, mut tls: Box<ServerConnection>) {
        tls.set_buffer_limit(Some(ENCRYPTED));
        self.is_tls = true;
        self.extra_mut().rare_mut().tls = Some(tls);
    }

    /// The TLS state of a connection that has one, and its outbox.
    pub(super) fn tls(&mut self) -> Option<(TlsSocket<'_>, &mut Outbox)> {
        let Self { socket, extra, .. } = self;
        let ConnectionExt { rare, outbox, .. } = extra.as_deref_mut()?;
        Some((TlsSocket::new(rare.as_mut()?.tls.as_mut()?, socket), outbox))
    }

    /// Nothing that was to be written waits any more.
    pub(super) fn is_written(&self) -> bool {
        self.pending.is_empty()
            && self.extra().is_none_or(|extra| {
                let rare = extra.rare.as_ref();
                let tls = rare.and_then(|rare| rare.tls.as_ref());
                extra.outbox.is_empty() && tls.is_none_or(|tls| !tls.wants_write())
            })
    }

    /// What waits for its socket, at what it costs if nobody else holds it.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.extra().map_or(0, |extra| extra.outbox.cost())
    }

    pub(super) fn has_outbox(&self) -> bool {
        self.extra().is_some_and(|extra| !extra.outbox.is_empty())
    }

    /// Something waits for it, of which its socket has taken some lately, and it has not been given up.
    pub(super) fn takes_within(&self, time: Duration, now: Instant) -> bool {
        self.extra().is_some_and(|extra| {
            let pace = extra.outbox.pace().filter(|_| !extra.outbox.is_given_up());
            pace.is_some_and(|pace| pace.has_taken() && pace.idle(now) < time)
        })
    }

    /// What it is to get goes straight to its socket.
    pub(super) fn takes_plain_sends(&self) -> bool {
        !self.is_tls && !self.has_outbox()
    }

    /// The socket and what waits for it, apart.
    pub(super) fn socket_and_outbox(&mut self) -> (&mut TcpStream, Option<&mut Outbox>) {
        (&mut self.socket, self.extra.as_deref_mut().map(|extra| &mut extra.outbox))
    }

    /// Gives the extra box back when nothing is in it.
    pub(super) fn slim(&mut self) {
        let Some(extra) = &mut self.extra else { return };
        extra.slim();
        if extra.is_empty() {
            self.extra = None;
        }
    }
}

impl ConnectionExt {
    pub(super) fn unfinished(&self) -> Option<&PartialMessage> {
        self.rare.as_ref()?.unfinished.as_ref()
    }

    pub(super) fn take_unfinished(&mut self) -> Option<PartialMessage> {
        self.rare.as_mut()?.unfinished.take()
    }

    pub(super) fn rare_mut(&mut self) -> &mut ColdState {
        self.rare.get_or_insert_default()
    }

    fn slim(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_empty()) {
            self.rare = None;
        }
    }

    fn is_empty(&self) -> bool {
        let Self { memberships, session, rare, outbox } = self;
        memberships.is_empty() && session.is_empty() && rare.is_none() && outbox.is_empty()
    }
}
