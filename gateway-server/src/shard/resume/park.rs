//! Parking: a client whose connection has ended stays for some time, and everything that it misses is kept.

use std::time::Instant;

use gateway_wire::client_protocol::GapReason;

use super::super::connection::{Connection, Phase, Waits};
use super::super::event_sink::Client;
use super::super::state::Shard;
use super::super::write_batch::FrameList;
use crate::net::{RateLimitKey, reset_on_close};

/// The part of the bound that becomes free when it is exceeded, so that clients are not looked for at every frame.
const ROOM: usize = 8;

impl Shard {
    /// Ends a connection that was lost: the client is parked if it may come back, and else goes. With `is_aborted` the kernel
    /// throws away what it has not sent yet.
    pub(in crate::shard) fn lose(&mut self, key: usize, is_aborted: bool) {
        if self.may_be_parked(key) {
            self.park(key);
        } else if is_aborted {
            self.abort(key);
        } else {
            self.drop_connection(key);
        }
    }

    /// Whether the client is one that can come back.
    pub(in crate::shard) fn may_be_parked(&self, key: usize) -> bool {
        let Some(connection) = self.clients.connections.get(key) else { return false };
        connection.encoding.is_gateway2()
            && connection.phase == Phase::Open
            && (!self.is_stopping() || self.keeps_parked)
            && !self.settings.listeners[usize::from(connection.listener)].resume_seconds.is_zero()
            && self.clients.resume.record(key).is_some_and(|record| record.gap().is_none())
    }

    /// Parks a client: its connection ends, and for all others it stays online.
    pub(in crate::shard) fn park(&mut self, key: usize) {
        let fits = self.keep_pending(key);
        self.unplug(key);
        self.wait_for_return(key);
        self.clients.resume.counts.parked += 1;
        if !fits {
            self.end_parked(key, GapReason::Overflow);
        }
    }

    /// Begins the time within which a client without a connection may come back.
    pub(super) fn wait_for_return(&mut self, key: usize) {
        let connection = &mut self.clients.connections[key];
        connection.phase = Phase::Parked;
        if let Some(notes) = &self.clients.inbox_notes {
            notes.parked(connection.connection_id);
        }
        let time = self.settings.listeners[usize::from(connection.listener)].resume_seconds;
        let address = connection.peer().map(|peer| RateLimitKey::of(peer.ip()));
        let now = Instant::now();
        self.clients.resume.parked.insert(key, now, now + time, address);
    }

    /// Parks a client whose connection goes on for a moment, to close it. Gives the key under which the connection goes on: there
    /// it has the client's number, but is nobody's any more.
    pub(in crate::shard) fn park_behind(&mut self, key: usize) -> std::io::Result<usize> {
        let connection = &mut self.clients.connections[key];
        let (pending, encoding) = (connection.pending, connection.encoding);
        let (connection_id, listener) = (connection.connection_id, connection.listener);
        self.keep_pending(key);
        let connection = &mut self.clients.connections[key];
        connection.note_peer();
        let Some(socket) = connection.socket.take() else { return Ok(key) };
        let mut closing = Connection::new(socket, connection_id, encoding, listener);
        closing.is_tls = std::mem::take(&mut connection.is_tls);
        closing.pending = pending;
        if let Some(extra) = connection.existing_extra_mut() {
            let outbox = std::mem::take(&mut extra.outbox);
            let tls = extra.rare_mut().tls.take();
            let into = closing.extra_mut();
            into.outbox = outbox;
            if tls.is_some() {
                into.rare_mut().tls = tls;
            }
            closing.slim();
        }
        self.clients.no_longer_slow(key);
        let has_outbox = closing.has_outbox();
        let new = self.clients.place_again(closing, &self.registry)?;
        if has_outbox {
            self.clients.slow.insert(new as u32);
        }
        if !pending.is_empty() {
            self.turn.touch(new);
        }
        self.park(key);
        Ok(new)
    }

    /// Keeps what this turn has brought a client so far and is not written yet. Gives false if that is too much for it.
    pub(super) fn keep_pending(&mut self, key: usize) -> bool {
        let connection = &mut self.clients.connections[key];
        let chain = std::mem::replace(&mut connection.pending, FrameList::EMPTY);
        let listener = &self.settings.listeners[usize::from(connection.listener)];
        self.clients.resume.keep(key, &mut self.turn, chain, listener)
    }

    /// Drops the connection of a client, which stays: what waits for it, and what it has sent of a message.
    pub(super) fn unplug(&mut self, key: usize) {
        drop(self.clients.take_partial(key));
        self.clients.no_longer_slow(key);
        let clients = &mut self.clients;
        let connection = &mut clients.connections[key];
        connection.note_peer();
        if let Some(mut socket) = connection.socket.take() {
            // The kernel throws away what it has not sent, as all of that is sent again.
            reset_on_close(&socket);
            let _ = self.registry.deregister(&mut socket);
        }
        connection.is_tls = false;
        connection.has_caught_up = false;
        connection.quiet = 0;
        connection.waits = Waits::No;
        if let Some(extra) = connection.existing_extra_mut() {
            extra.outbox.clear(&mut clients.held);
            extra.rare_mut().tls = None;
        }
        connection.slim();
    }

    /// Ends the parking of a client: it is gone for everybody.
    pub(in crate::shard) fn end_parked(&mut self, key: usize, reason: GapReason) {
        self.clients.resume.bury(self.clients.connections[key].connection_id, reason);
        self.drop_connection(key);
    }

    /// Ends the parking of a client, to make room for a newcomer, unless it has come back meanwhile.
    pub(in crate::shard) fn evict_parked(&mut self, key: usize, connection_id: u32) {
        let connection = self.clients.connections.get(key);
        if connection.is_some_and(|connection| {
            connection.connection_id == connection_id && connection.phase == Phase::Parked
        }) {
            self.end_parked(key, GapReason::Overflow);
        }
    }

    /// Ends the parking of the clients that have stayed away too long.
    pub(in crate::shard) fn end_expired(&mut self, now: Instant) {
        while let Some(key) = self.clients.resume.parked.ended(now) {
            self.end_parked(key, GapReason::Expired);
        }
    }

    /// Makes a parked client offline that PHP has closed. Who comes back in time gets what it has missed and the close.
    pub(in crate::shard) fn close_parked(&mut self, key: usize) {
        let connection_id = self.clients.connections[key].connection_id;
        self.events.closed(&Client::of(&self.clients.connections[key], &self.settings.ports));
        // A token beside the secret of one that comes back for the close is compared with the uid that it has had.
        let uid = self.clients.connections[key].extra().and_then(|extra| extra.memberships.uid.as_ref());
        self.clients.resume.subjects.keep(key, uid);
        self.clients.forget(key);
        self.clients.resume.closed.insert(connection_id, key as u32);
    }

    /// Ends the possibility to come back: with the wrong identity, somebody else may have found the secret.
    pub(in crate::shard) fn disown(&mut self, key: usize, reason: GapReason) {
        let connection = &self.clients.connections[key];
        if connection.phase == Phase::Parked {
            return self.end_parked(key, reason);
        }
        self.clients.resume.bury(connection.connection_id, reason);
        self.clients.resume.change(key, |record, kept| record.end(reason, |frame| kept.release(frame)));
    }

    /// Makes room when what is kept for all clients takes too much memory: first those go who are parked, the unbound and the
    /// longest parked before others; then what is kept for the others is forgotten, the most first.
    pub(in crate::shard) fn make_room_for_kept(&mut self) {
        let bound = self.settings.kept_bytes;
        if self.clients.resume.kept.bytes() > bound {
            self.forget_kept(bound - bound / ROOM);
        }
    }

    /// Forgets what is kept for clients that may come back, until it takes `most` bytes or less.
    pub(in crate::shard) fn forget_kept(&mut self, most: usize) {
        let is_bound =
            |connection: &Connection| connection.extra().is_some_and(|extra| extra.memberships.uid.is_some());
        let parked = self.clients.resume.parked.iter();
        let mut parked: Vec<_> =
            parked.map(|(key, since)| (is_bound(&self.clients.connections[key]), since, key)).collect();
        parked.sort_unstable();
        for (_, _, key) in parked {
            if self.clients.resume.kept.bytes() <= most {
                return;
            }
            self.end_parked(key, GapReason::Overflow);
        }
        let resume = &mut self.clients.resume;
        let mut records: Vec<_> = resume
            .records
            .iter()
            .map(|(key, record)| (record.weight(), key))
            .filter(|one| one.0 > 0)
            .collect();
        records.sort_unstable_by(|one, other| other.cmp(one));
        for (_, key) in records {
            if resume.kept.bytes() <= most {
                return;
            }
            resume.change(key, |record, kept| {
                while record.kept() > 0 {
                    record.forget_oldest(|frame| kept.release(frame));
                }
            });
        }
    }
}
