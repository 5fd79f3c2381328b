//! The clients of one shard: which are online, what each is bound to, and the tables by which others find them.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use gateway_wire::client_protocol::{GapReason, ResumeOffer};
use hashbrown::{HashMap, HashSet};
use mio::Registry;
use slab::Slab;

use super::audience::{Audience, Except};
use super::backlog::Backlog;
use super::change::Change;
use super::claim::NameClaim;
use super::connection::{Connection, ConnectionExt, Phase};
use super::counts::Counts;
use super::identity::ClaimedIdentity;
use super::membership::NameTable;
use super::polling;
use super::resume::ResumeState;
use super::session::Session;
use super::total_backlog::TotalBacklog;
use crate::config::Settings;
use crate::inbox::notes::InboxNotes;
use crate::net::tls::TlsSession;
use crate::protocol::Encoding;
use crate::system::{injected_faults, memory_reserve};

/// The shard merges a session itself up to this many bytes of the session and its changes together, which takes a fraction of a
/// millisecond. A larger one is merged in another thread.
const MERGED_AT_ONCE: usize = 16 << 10;

/// The clients of one shard, and the tables by which they are found.
pub(crate) struct Clients {
    /// All connections of the shard, those included that are being closed. The key of a connection in this slab is also its token
    /// in the poll.
    pub(super) connections: Slab<Connection>,
    /// The key of each online connection, by its connection id. A connection that is being closed is in the slab only.
    online: HashMap<u32, u32>,
    /// The largest number of connections at the same time since the last [`Clients::shrink`].
    peak: usize,
    pub(super) counts: Counts,
    /// The number of online clients of each listener, by the listener's index in the settings.
    pub(super) online_by_listener: Vec<usize>,
    /// The keys of the connections whose outboxes hold something.
    pub(super) slow: HashSet<u32>,
    /// The memory of all outboxes of the shard.
    pub(super) held: Backlog,
    /// The memory of all messages that have arrived in part, in bytes.
    pub(super) partial: usize,
    /// The bytes of sessions and of changes to them that the shard has merged in this turn.
    pub(super) merged: usize,
    pub(super) uids: NameTable,
    pub(super) groups: NameTable,
    /// For each connection, by its key, the slot that it takes in a count kept outside the shard:
    /// [`NewConnection::place`](super::command::NewConnection::place). Dropping it frees the slot.
    pub(super) slots: HashMap<usize, Box<dyn Send>>,
    /// The clients that count messages, and those that are parked.
    pub(super) resume: ResumeState,
    /// Where the inbox is told which clients are bound to which uids, if there is an inbox.
    pub(super) inbox_notes: Option<InboxNotes>,
}

impl Clients {
    pub(super) fn new(
        uids: NameTable,
        groups: NameTable,
        total: Arc<TotalBacklog>,
        resume: ResumeState,
        inbox_notes: Option<InboxNotes>,
    ) -> Self {
        Self {
            connections: Slab::new(),
            online: HashMap::new(),
            peak: 0,
            counts: Counts::default(),
            online_by_listener: Vec::new(),
            slow: HashSet::new(),
            held: Backlog::new(total),
            partial: 0,
            merged: 0,
            uids,
            groups,
            slots: HashMap::new(),
            resume,
            inbox_notes,
        }
    }

    /// Whether memory suffices for one more connection. The records of all connections lie in one block, and when it grows, the
    /// new block of twice the size is needed beside the old one.
    pub(super) fn has_room_for_one(&self) -> bool {
        let (held, room) = (self.connections.len(), self.connections.capacity());
        held < room || memory_reserve::has_room(2 * room.max(1) * size_of::<Connection>())
    }

    /// Registers a connection in the poll. Gives its key, and whether it is online: it is not if another connection still has the
    /// same connection id.
    pub(super) fn insert(
        &mut self,
        socket: TcpStream,
        tls: Option<Box<TlsSession>>,
        connection_id: u32,
        encoding: Encoding,
        listener: u8,
        registry: &Registry,
    ) -> io::Result<(usize, bool)> {
        self.counts.came += 1;
        let socket = mio::net::TcpStream::from_std(socket);
        // A connection id is issued again only after 2³² others, but by then the connection that had it first may still be here.
        let is_free = !self.online.contains_key(&connection_id);
        let mut connection = Connection::new(socket, connection_id, encoding, listener);
        connection.speak_tls(tls);
        let key = self.place(connection, registry)?;
        if is_free {
            self.note_online(key);
        }
        Ok((key, is_free))
    }

    /// Adds a client whose connection id no other client has, and gives its key.
    pub(super) fn add_online(&mut self, connection: Connection) -> usize {
        let key = self.add(connection);
        self.note_online(key);
        key
    }

    fn note_online(&mut self, key: usize) {
        let Connection { connection_id, listener, .. } = self.connections[key];
        self.online.insert(connection_id, key as u32);
        self.count_online(listener);
    }

    /// Adds a connection that is no client yet and whose socket is new, puts the socket into the poll, and gives the key.
    pub(super) fn place(&mut self, mut connection: Connection, registry: &Registry) -> io::Result<usize> {
        polling::begin(self.connections.vacant_key(), &mut connection, registry)?;
        Ok(self.add(connection))
    }

    /// Adds a connection that is no client any more and whose socket is in the poll under another key, and gives the new one.
    pub(super) fn place_again(
        &mut self,
        mut connection: Connection,
        registry: &Registry,
    ) -> io::Result<usize> {
        polling::begin_again(self.connections.vacant_key(), &mut connection, registry)?;
        Ok(self.add(connection))
    }

    /// Adds a connection that is no client yet, and gives its key. If it has a socket, [`polling::begin_late`] puts it into the poll.
    pub(super) fn add(&mut self, connection: Connection) -> usize {
        let key = self.connections.insert(connection);
        self.peak = self.peak.max(self.connections.len());
        key
    }

    /// Makes room for so many more connections.
    pub(super) fn reserve(&mut self, connections: usize) {
        self.connections.reserve(connections);
        self.online.reserve(connections);
    }

    /// Gives a client without a connection a new one.
    pub(super) fn plug_in(
        &mut self,
        key: usize,
        socket: TcpStream,
        tls: Option<Box<TlsSession>>,
        registry: &Registry,
    ) -> io::Result<()> {
        let connection = &mut self.connections[key];
        connection.speak_tls(tls);
        connection.socket = Some(mio::net::TcpStream::from_std(socket));
        polling::begin(key, connection, registry).inspect_err(|_| connection.socket = None)
    }

    /// Notes that something waits for a client, and has the poll report when its socket takes more.
    pub(super) fn wait_for_room(&mut self, key: usize, registry: &Registry) -> io::Result<()> {
        match self.slow.insert(key as u32) {
            true => polling::report_room(key, &mut self.connections[key], registry),
            false => Ok(()),
        }
    }

    /// Notes that a client has come back by another listener.
    pub(super) fn change_listener(&mut self, key: usize, listener: u8) {
        let before = std::mem::replace(&mut self.connections[key].listener, listener);
        if before != listener && self.holds_its_number(key) {
            self.online_by_listener[usize::from(before)] -= 1;
            self.count_online(listener);
        }
    }

    pub(super) fn key(&self, connection_id: u32) -> Option<usize> {
        self.online.get(&connection_id).map(|key| *key as usize)
    }

    /// Says whether a page could come back: the key of its client, or the reason why not; `None` when nothing is known of it.
    pub(crate) fn find(&self, connection_id: u32, offer: &ResumeOffer) -> Result<usize, Option<GapReason>> {
        self.resume.find(connection_id, offer, self.key(connection_id))
    }

    /// Whether this connection is the online one with its connection id.
    pub(super) fn holds_its_number(&self, key: usize) -> bool {
        self.online.get(&self.connections[key].connection_id) == Some(&(key as u32))
    }

    /// Forgets all connections, without a word to anybody: another process has them.
    pub(super) fn let_go(&mut self) -> Slab<Connection> {
        self.online = HashMap::new();
        self.slow = HashSet::new();
        self.slots = HashMap::new();
        std::mem::take(&mut self.connections)
    }

    pub(super) fn online(&self) -> impl ExactSizeIterator<Item = usize> {
        self.online.values().map(|key| *key as usize)
    }

    /// Removes the client from the tables of connection ids, uids and groups, and drops its session. The connection itself stays.
    pub(super) fn forget(&mut self, key: usize) {
        let is_online = self.holds_its_number(key);
        let connection = &mut self.connections[key];
        if is_online {
            self.online.remove(&connection.connection_id);
            self.online_by_listener[usize::from(connection.listener)] -= 1;
            // Give memory back after a peak.
            if self.online.len() < self.online.capacity() / 8 {
                self.online.shrink_to_fit();
            }
        }
        self.note_unbound(key);
        if let Some(extra) = self.connections[key].existing_extra_mut() {
            extra.memberships.leave_all(&mut self.uids, &mut self.groups, key);
            extra.session = Session::default();
        }
    }

    /// Removes a connection and everything that is kept about it; its socket closes.
    pub(super) fn remove(&mut self, key: usize, registry: &Registry) {
        self.forget(key);
        self.slots.remove(&key);
        drop(self.take_partial(key));
        self.no_longer_slow(key);
        if let Some(extra) = self.connections[key].existing_extra_mut() {
            extra.outbox.clear(&mut self.held);
        }
        let connection = self.connections.remove(key);
        self.resume.forget(key, connection.connection_id);
        // Closing the descriptor takes it out of epoll as well; this call keeps mio's own records right.
        if let Some(mut socket) = connection.socket {
            let _ = registry.deregister(&mut socket);
        }
    }

    /// Takes a connection out of the set of slow ones, as its outbox is empty now.
    pub(super) fn no_longer_slow(&mut self, key: usize) {
        if !self.slow.is_empty() {
            self.slow.remove(&(key as u32));
        }
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak
    }

    /// Returns the memory of connections that have ended to the allocator, and starts a new [`Clients::peak`].
    pub(super) fn shrink(&mut self) {
        self.connections.shrink_to_fit();
        self.slots.shrink_to_fit();
        self.slow.shrink_to_fit();
        self.peak = self.connections.len();
    }

    /// Tells the inbox that the uid of a client has changed.
    fn note_binding(&self, key: usize, was_bound: bool) {
        let Some(inbox) = &self.inbox_notes else { return };
        let connection = &self.connections[key];
        match connection.extra().and_then(|extra| extra.memberships.uid.as_ref()) {
            Some(uid) => {
                let is_page = connection.encoding.is_gateway2();
                inbox.bound(connection.connection_id, !was_bound, uid, connection.device(), is_page);
            }
            None if was_bound => inbox.left(connection.connection_id, connection.is_written()),
            None => {}
        }
    }

    /// Tells the inbox that a client is about to lose its uid.
    fn note_unbound(&self, key: usize) {
        let connection = &self.connections[key];
        if let Some(inbox) = &self.inbox_notes
            && connection.extra().is_some_and(|extra| extra.memberships.uid.is_some())
        {
            inbox.left(connection.connection_id, connection.is_written());
        }
    }

    /// Calls `visit` for each open connection of one of the [`Audience::parts`].
    pub(super) fn each_of(
        &mut self,
        audience: &Audience,
        part: usize,
        mut visit: impl FnMut(usize, &mut Connection),
    ) {
        let Self { connections, online, uids, groups, .. } = self;
        if let Audience::All { except } = audience {
            // The slab's order is also that of the sockets in the kernel's memory, which makes the sends faster.
            let all = connections.iter_mut().filter(|(key, connection)| {
                connection.phase == Phase::Open
                    // A client that PHP has closed while it was parked is not online.
                    || connection.phase == Phase::Parked
                        && online.get(&connection.connection_id) == Some(&(*key as u32))
            });
            return all
                .filter(|(_, connection)| !except.has(connection.connection_id))
                .for_each(|(key, connection)| visit(key, connection));
        }
        let mut visit = |key: usize, except: &Except| {
            let connection = &mut connections[key];
            if !except.has(connection.connection_id) {
                visit(key, connection);
            }
        };
        let nobody = Except::default();
        match audience {
            Audience::All { .. } => {}
            Audience::Connections(connection_ids) => {
                let connection_ids = connection_ids.chunks(Audience::PART).nth(part).into_iter().flatten();
                connection_ids
                    .filter_map(|connection_id| online.get(connection_id))
                    .for_each(|key| visit(*key as usize, &nobody));
            }
            Audience::Bound { uid, connections: connection_ids } => {
                let is_bound = |key: &usize| uids.is_held_by(uid, *key);
                connection_ids
                    .iter()
                    .filter_map(|connection_id| online.get(connection_id).map(|key| *key as usize))
                    .filter(is_bound)
                    .for_each(|key| visit(key, &nobody));
            }
            Audience::Uids(names) => {
                names
                    .get(part)
                    .into_iter()
                    .flat_map(|uid| uids.holders(uid))
                    .for_each(|key| visit(key, &nobody));
            }
            Audience::Groups { groups: names, except } => {
                names
                    .get(part)
                    .into_iter()
                    .flat_map(|group| groups.holders(group))
                    .for_each(|key| visit(key, except));
            }
        }
    }

    /// Applies a change to a client, and ignores it if the client is not online any more.
    pub(super) fn change(&mut self, connection_id: u32, change: Change, settings: &Settings) {
        injected_faults::strike("change");
        let Some(key) = self.key(connection_id) else { return };
        let Self { connections, uids, groups, merged, resume, .. } = self;
        let ConnectionExt { memberships, session, .. } = connections[key].extra_mut();
        let changes_uid = match &change {
            Change::Bind { uid } => memberships.uid.as_deref() != Some(uid.name()),
            Change::Unbind => true,
            _ => false,
        };
        let was_bound = memberships.uid.is_some();
        if changes_uid {
            resume.subjects.note(key, memberships.uid.as_ref());
        }
        match change {
            Change::Bind { uid } => memberships.bind(uids, uid, key),
            Change::Unbind => memberships.unbind(uids, key),
            // The caller may have given up; then nobody receives the answer.
            Change::Join { group, back } => {
                let _ = back.send(memberships.join(groups, group, key, settings.max_groups()));
            }
            Change::Leave { group } => memberships.leave(groups, &group, key),
            Change::SetSession { serialized } => session.set(&serialized),
            Change::UpdateSession { changes, in_shard, back } => {
                let cost = session.bytes().len() + changes.len();
                drop(back.send(if in_shard || cost <= MERGED_AT_ONCE {
                    *merged += cost;
                    session.update(&changes, settings.max_session_bytes).map(|()| None)
                } else {
                    Ok(Some(session.snapshot(settings.max_session_bytes)))
                }));
            }
            Change::ReplaceSession { before, merged, back } => {
                let _ = back.send(session.replace(&before, merged));
            }
        }
        connections[key].slim();
        if changes_uid {
            self.note_binding(key, was_bound);
        }
    }

    /// Binds a new client to the uid and groups of its connect token, and gives it the token's session.
    pub(super) fn introduce(&mut self, key: usize, identity: ClaimedIdentity, max_groups: usize) {
        self.bind_all(key, Some(identity.uid), identity.groups, max_groups);
        self.connections[key].extra_mut().session.set(&identity.session);
        self.connections[key].slim();
    }

    /// Binds a new client to its uid and groups, of which it may have `max_groups`.
    pub(super) fn bind_all(
        &mut self,
        key: usize,
        uid: Option<NameClaim>,
        names: Vec<NameClaim>,
        max_groups: usize,
    ) {
        let Self { connections, uids, groups, .. } = self;
        let memberships = &mut connections[key].extra_mut().memberships;
        if let Some(uid) = uid {
            memberships.bind(uids, uid, key);
        }
        for group in names {
            // The caller has checked the number of groups already.
            let _ = memberships.join(groups, group, key, max_groups);
        }
        connections[key].slim();
        self.note_binding(key, false);
    }

    pub(super) fn ungroup(&mut self, group: &[u8]) {
        for key in self.groups.holders(group).collect::<Vec<_>>() {
            self.connections[key].extra_mut().memberships.leave(&mut self.groups, group, key);
            self.connections[key].slim();
        }
    }
}
