//! The record of one client's connection. It is small, because there are many connections and most of them are idle.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::cold::ColdState;
use super::membership::Memberships;
use super::outbox::Outbox;
use super::session::Session;
use super::tls::TlsSocket;
use super::write_batch::FrameList;
use crate::inbox::model::Device;
use crate::net::peer_address;
use crate::net::tls::TlsSession;
use crate::protocol::{Encoding, PartialMessage};

/// One client's connection. It holds what every connection needs; what few of them need stands in [`ConnectionExt`].
pub(super) struct Connection {
    /// The socket, or `None` while the client is parked.
    pub(super) socket: Option<TcpStream>,
    /// The connection id: the random part of the client_id.
    pub(super) connection_id: u32,
    /// The frames that this turn has brought the client so far.
    pub(super) pending: FrameList,
    /// How far the close of the connection has come.
    pub(super) phase: Phase,
    /// How often the heartbeat has looked at the client since it last sent something.
    pub(super) quiet: u8,
    /// The form in which the client gets messages.
    pub(super) encoding: Encoding,
    /// The listener that accepted the connection: an index into the settings' list of listeners.
    pub(super) listener: u8,
    /// Whether the client is kept from being read, and why.
    pub(super) waits: Waits,
    /// The client has taken the last of what waited for it since its close began, and may need time to answer the close frame.
    pub(super) has_caught_up: bool,
    /// The connection has a TLS session, so only [`Connection::tls`] may use its socket.
    pub(super) is_tls: bool,
    /// The client has come back once, so its connection is younger than its connection id.
    pub(super) has_returned: bool,
    /// Everything that most connections lack, or `None` while this one lacks all of it.
    extra: Option<Box<ConnectionExt>>,
}

/// The size of a record in bytes: half of a cache line. Who changes it says so here.
const RECORD: usize = 32;

// In debug builds sockets are larger.
const _: () = assert!(cfg!(debug_assertions) || size_of::<Connection>() == RECORD);

/// How far the close of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No close has begun.
    Open,
    /// The server has sent a close frame and waits for the client's.
    Closing,
    /// The last bytes are queued, for a websocket a close frame; what the client sends is read and thrown away.
    Discarding,
    /// The last bytes are written, and the sending side of the socket is shut; what the client still sends is read and thrown
    /// away.
    Shut,
    /// Both sides have sent their close frames; the socket closes once all is written.
    Finishing,
    /// The client has no connection, and may come back.
    Parked,
}

/// Why a client is not read although it may have sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// The client is read when it sends something.
    No,
    /// It has used its share of this turn, and is read again in the next.
    ForItsTurn,
    /// The client's worker takes no more events at the moment; the client is read again when it does.
    ForEventsTaken,
}

/// State that most connections lack most of the time.
#[derive(Default)]
pub(super) struct ConnectionExt {
    pub(super) memberships: Memberships,
    pub(super) session: Session,
    /// What even fewer connections have: a TLS session, an address from a proxy, a partial message.
    cold: Option<Box<ColdState>>,
    pub(super) outbox: Outbox,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, connection_id: u32, encoding: Encoding, listener: u8) -> Self {
        Self::of(Some(socket), connection_id, encoding, listener)
    }

    fn of(socket: Option<TcpStream>, connection_id: u32, encoding: Encoding, listener: u8) -> Self {
        Self {
            socket,
            connection_id,
            pending: FrameList::EMPTY,
            phase: Phase::Open,
            quiet: 0,
            encoding,
            listener,
            waits: Waits::No,
            has_caught_up: false,
            is_tls: false,
            has_returned: false,
            extra: None,
        }
    }

    /// A client that has no connection yet.
    pub(super) fn without_socket(connection_id: u32, encoding: Encoding, listener: u8) -> Self {
        Self::of(None, connection_id, encoding, listener)
    }

    /// The client's address. Unless it is noted, as a proxy has told it or the client is parked, this asks the kernel.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        let noted = self.extra().and_then(|extra| extra.cold.as_ref()?.address);
        noted.or_else(|| peer_address(self.socket.as_ref()?))
    }

    /// Notes the address of a client whose socket is about to go.
    pub(super) fn note_peer(&mut self) {
        if let Some(peer) = self.peer() {
            self.extra_mut().rare_mut().address = Some(peer);
        }
    }

    /// The client's device in the inbox.
    pub(super) fn device(&self) -> Device {
        let named = self.extra().and_then(|extra| extra.cold.as_ref()?.device.clone());
        named.unwrap_or(Device::Shared)
    }

    /// Whether the address of the client is noted.
    pub(super) fn has_own_address(&self) -> bool {
        self.extra().is_some_and(|extra| extra.cold.as_ref().is_some_and(|cold| cold.address.is_some()))
    }

    pub(super) fn is_connected(&self) -> bool {
        self.socket.is_some()
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

    /// Makes all further reads and writes of this connection go through this TLS session, if there is one.
    pub(super) fn speak_tls(&mut self, tls: Option<Box<TlsSession>>) {
        if tls.is_some() {
            self.is_tls = true;
            self.extra_mut().rare_mut().tls = tls;
        }
    }

    /// The TLS socket of a connection that has one, and its outbox.
    pub(super) fn tls(&mut self) -> Option<(TlsSocket<'_>, &mut Outbox)> {
        let Self { socket, extra, .. } = self;
        let ConnectionExt { cold, outbox, .. } = extra.as_deref_mut()?;
        Some((TlsSocket::new(cold.as_mut()?.tls.as_mut()?, socket.as_mut()?), outbox))
    }

    /// Whether the socket has taken everything: no frame is pending, and neither the outbox nor the TLS session holds any bytes.
    pub(super) fn is_written(&self) -> bool {
        self.pending.is_empty()
            && self.extra().is_none_or(|extra| extra.outbox.is_empty() && !extra.has_sealed())
    }

    /// Whether TLS holds bytes that the socket has not taken.
    pub(super) fn has_sealed(&self) -> bool {
        self.extra().is_some_and(ConnectionExt::has_sealed)
    }

    /// The memory of what waits for the client's socket, in bytes, as if no other client held the same frames.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.extra().map_or(0, |extra| extra.outbox.cost())
    }

    pub(super) fn has_outbox(&self) -> bool {
        self.extra().is_some_and(|extra| !extra.outbox.is_empty())
    }

    /// Whether something waits for the client, its socket has taken some of it within this time, and the client has not been
    /// given up.
    pub(super) fn takes_within(&self, time: Duration, now: Instant) -> bool {
        self.extra().is_some_and(|extra| {
            let pace = extra.outbox.pace().filter(|_| !extra.outbox.is_given_up());
            pace.is_some_and(|pace| pace.has_taken() && pace.idle(now) < time)
        })
    }

    /// Whether a frame for the client can go straight to its socket, without TLS and with nothing queued before it.
    pub(super) fn takes_plain_sends(&self) -> bool {
        !self.is_tls && self.is_connected() && !self.has_outbox()
    }

    /// The socket, and the outbox if there is one, borrowed separately.
    pub(super) fn socket_and_outbox(&mut self) -> (Option<&mut TcpStream>, Option<&mut Outbox>) {
        (self.socket.as_mut(), self.extra.as_deref_mut().map(|extra| &mut extra.outbox))
    }

    /// Frees [`ConnectionExt`], or the parts of it, that hold nothing any more.
    pub(super) fn slim(&mut self) {
        let Some(extra) = &mut self.extra else { return };
        extra.slim();
        if extra.is_empty() {
            self.extra = None;
        }
    }
}

impl ConnectionExt {
    pub(super) fn partial(&self) -> Option<&PartialMessage> {
        self.cold.as_ref()?.partial.as_ref()
    }

    pub(super) fn take_partial(&mut self) -> Option<PartialMessage> {
        self.cold.as_mut()?.partial.take()
    }

    fn has_sealed(&self) -> bool {
        let tls = self.cold.as_ref().and_then(|cold| cold.tls.as_ref());
        tls.is_some_and(|tls| tls.wants_write())
    }

    pub(super) fn rare_mut(&mut self) -> &mut ColdState {
        self.cold.get_or_insert_default()
    }

    fn slim(&mut self) {
        if self.cold.as_ref().is_some_and(|cold| cold.is_empty()) {
            self.cold = None;
        }
    }

    fn is_empty(&self) -> bool {
        let Self { memberships, session, cold, outbox } = self;
        memberships.is_empty() && session.is_empty() && cold.is_none() && outbox.is_empty()
    }
}
