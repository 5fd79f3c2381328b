//! What a shard does when a time has come: heartbeats, closes that took too long, the waves of a stop.

use std::time::Instant;

use super::connection::{Connection, Phase, Waits};
use super::heartbeat::Action;
use super::state::Shard;
use crate::protocol::close::{self};
use crate::protocol::websocket::{self};
use crate::protocol::{self};

impl Shard {
    pub(super) fn keep_time(&mut self, now: Instant) {
        for door in 0..self.rounds.len() {
            for key in self.rounds[door].due(now, self.clients.connections.capacity()) {
                self.for_client(key, |shard| shard.look_at(door, key, now));
            }
        }
        while let Some((at, key, number)) = self.closing.front().copied() {
            if at > now {
                break;
            }
            self.closing.pop_front();
            // The key may belong to somebody new by now.
            let is_closing = |one: &Connection| one.number == number && one.phase != Phase::Open;
            if self.clients.connections.get(key).is_some_and(is_closing) {
                self.close_by_now(key, now);
            }
        }
        if self.has_slow() && now >= self.look_at_slow {
            self.give_up_stalled(now);
        }
        self.drain(now);
        if self.stop_at.is_some_and(|at| now >= at) {
            for key in self.clients.connections.iter().map(|(key, _)| key).collect::<Vec<_>>() {
                self.abort(key);
            }
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.drain.is_some() || self.stop_at.is_some()
    }

    /// Closes those whose turn it is.
    pub(super) fn drain(&mut self, now: Instant) {
        let Some(drain) = &mut self.drain else { return };
        let Some(left) = drain.left(now) else { return };
        if left == 0 {
            let at = now + drain.patience;
            // A second call does not make the first one's wait longer.
            self.stop_at = Some(self.stop_at.map_or(at, |before| before.min(at)));
            self.drain = None;
        }
        let due = self.clients.online().len().saturating_sub(left);
        for key in self.clients.online().take(due).collect::<Vec<_>>() {
            self.close(key, close::GOING_AWAY, Phase::Closing);
        }
    }

    /// A heartbeat's look at a connection, if it came in by this door.
    pub(super) fn look_at(&mut self, door: usize, key: usize, now: Instant) {
        // What one says that is paused or has to wait for its turn is not heard for our own reasons.
        let is_due = |one: &&mut Connection| {
            usize::from(one.door) == door && one.phase == Phase::Open && one.waits == Waits::No
        };
        let Some(connection) = self.clients.connections.get_mut(key).filter(is_due) else { return };
        let heartbeat = &self.settings.doors[door].heartbeat;
        let has_outbox = connection.has_outbox();
        // It is there while it takes of what waits for it. What it says to a ping would come behind all that.
        if has_outbox && connection.takes_within(heartbeat.look_every(), now) {
            connection.quiet = 0;
            return;
        }
        match heartbeat.look(&mut connection.quiet) {
            Action::Nothing => {}
            Action::Ping if has_outbox => {}
            Action::Ping => {
                let ping = match heartbeat.data.as_slice() {
                    [] if connection.form.is_websocket() => websocket::ping(),
                    // Its protocol has no ping.
                    [] => return,
                    data => protocol::message(connection.form, self.settings.message_kind, data),
                };
                self.send(key, ping);
            }
            Action::GiveUp => self.abort(key),
        }
    }
}
