//! The clients of a frozen shard in as little memory as possible while the process that takes them over has them too, so that both
//! together take little more than one.
//!
//! What many small allocations hold for each client moves into a few large blocks: uid, groups, session and outbox, and the tables of
//! names. Sockets, keys and everything else stay as they are. When the shard thaws, all is unpacked, and is what it was. The memory for that
//! was free a moment before, as the other process has ended by then; where it is not, allocations wait for it as all do that must not fail.

use super::super::clients::Clients;
use super::super::membership::{Memberships, PackedNames};
use super::super::outbox::{Outbox, PackedOutbox};
use super::super::packed_bytes::PackedBytes;
use super::super::packed_chunks::PackedChunks;
use crate::system::allocator::trim_heap;
use crate::system::memory_reserve;

/// The memory in bytes that has to be free for packing: the first blocks are there before anything is freed.
const ROOM: usize = 8 << 20;
/// The number of clients that are packed before what they have freed is given back to the system.
const TRIM_EVERY: usize = 1_000;

/// What was taken from the clients of a shard. The keys are those of their connections.
pub(in crate::shard) struct PackedClients {
    uids: PackedNames,
    groups: PackedNames,
    /// The length of each session.
    sessions: Vec<(u32, u32)>,
    session_bytes: PackedBytes,
    outboxes: Vec<(u32, PackedOutbox)>,
    chunks: PackedChunks,
    /// The number of clients since memory was last given back.
    untrimmed: usize,
}

impl PackedClients {
    /// Packs the tables of names of a frozen shard. Where memory is short, nothing is packed.
    pub(super) fn begin(clients: &mut Clients) -> Option<Self> {
        memory_reserve::has_room(ROOM).then(|| Self {
            uids: clients.uids.pack(),
            groups: clients.groups.pack(),
            sessions: Vec::new(),
            session_bytes: PackedBytes::default(),
            outboxes: Vec::with_capacity(clients.slow.len()),
            chunks: PackedChunks::default(),
            untrimmed: 0,
        })
    }

    /// Packs a client.
    pub(super) fn pack(&mut self, clients: &mut Clients, key: usize) {
        let connection = &mut clients.connections[key];
        if let Some(extra) = connection.existing_extra_mut() {
            extra.memberships = Memberships::default();
            if let Some(length) = extra.session.pack(&mut self.session_bytes) {
                self.sessions.push((key as u32, length));
            }
            if let Some(outbox) = extra.outbox.pack(&mut self.chunks, &mut clients.held) {
                self.outboxes.push((key as u32, outbox));
            }
            connection.slim();
        }
        self.untrimmed += 1;
        if self.untrimmed == TRIM_EVERY {
            self.untrimmed = 0;
            trim_heap();
        }
    }

    /// Gives the clients back what was packed.
    pub(super) fn unpack(self, clients: &mut Clients) {
        let Self { uids, groups, sessions, mut session_bytes, outboxes, mut chunks, .. } = self;
        let connections = &mut clients.connections;
        // Clients that were not packed are in the tables too.
        let extras = connections.iter_mut().filter_map(|(_, connection)| connection.existing_extra_mut());
        extras.for_each(|extra| extra.memberships = Memberships::default());
        clients.uids.unpack(uids, |key, uid| {
            if let Some(connection) = connections.get_mut(key) {
                connection.extra_mut().memberships.uid = Some(uid.clone());
            }
        });
        clients.groups.unpack(groups, |key, group| {
            if let Some(connection) = connections.get_mut(key) {
                connection.extra_mut().memberships.groups.push(group.clone());
            }
        });
        for (key, length) in sessions {
            let session = session_bytes.take(length as usize);
            if let Some(connection) = connections.get_mut(key as usize) {
                connection.extra_mut().session.set(session);
            }
        }
        for (key, outbox) in outboxes {
            let outbox = Outbox::unpack(outbox, &mut chunks, &mut clients.held);
            if let Some(connection) = connections.get_mut(key as usize) {
                connection.extra_mut().outbox = outbox;
            }
        }
    }
}
