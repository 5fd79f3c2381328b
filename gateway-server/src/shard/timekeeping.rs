//! What a shard does at its deadlines: heartbeats, the end of closes that take too long, and the waves of a stop.

use std::time::Instant;

use super::connection::{Connection, Phase, Waits};
use super::heartbeat::{Action, Heartbeat};
use super::state::Shard;
use crate::protocol::close::{self};
use crate::protocol::websocket::{self};
use crate::protocol::{self};

impl Shard {
    pub(super) fn keep_time(&mut self, now: Instant) {
        for listener in 0..self.rounds.len() {
            for key in self.rounds[listener].due(now, self.clients.connections.capacity()) {
                self.for_client(key, |shard| shard.look_at(listener, key, now));
            }
        }
        while let Some((at, key, connection_id)) = self.closing.front().copied() {
            if at > now {
                break;
            }
            self.closing.pop_front();
            // The key may belong to another client by now.
            let is_closing =
                |one: &Connection| one.connection_id == connection_id && one.phase != Phase::Open;
            if self.clients.connections.get(key).is_some_and(is_closing) {
                self.close_by_now(key, now);
            }
        }
        self.tell_untold(now);
        self.end_expired(now);
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

    /// Closes the clients of the wave that is due, if one is.
    pub(super) fn drain(&mut self, now: Instant) {
        let Some(drain) = &mut self.drain else { return };
        let Some(left) = drain.left(now) else { return };
        if left == 0 {
            let at = now + drain.patience;
            // A second stop does not make the wait of the first one longer.
            self.stop_at = Some(self.stop_at.map_or(at, |before| before.min(at)));
            self.drain = None;
        }
        let is_closed = |key: &usize| !self.keeps_parked || self.clients.connections[*key].is_connected();
        let mut due: Vec<_> = self.clients.online().filter(is_closed).collect();
        due.truncate(due.len().saturating_sub(left));
        for key in due {
            let key = self.park_if(self.keeps_parked, key);
            self.close(key, close::GOING_AWAY, Phase::Closing);
        }
    }

    /// The heartbeat's look at one connection, if the connection came by this listener.
    pub(super) fn look_at(&mut self, listener: usize, key: usize, now: Instant) {
        // A client that is paused or waits for its turn may have sent something that the server itself has not read yet.
        let is_due = |one: &&mut Connection| {
            usize::from(one.listener) == listener && one.phase == Phase::Open && one.waits == Waits::No
        };
        let Some(connection) = self.clients.connections.get_mut(key).filter(is_due) else { return };
        let heartbeat = Heartbeat(&self.settings.listeners[listener]);
        let has_outbox = connection.has_outbox();
        // A client is alive while it takes of what waits for it. Its answer to a ping would come only after all of that.
        if has_outbox && connection.takes_within(heartbeat.look_every(), now) {
            connection.quiet = 0;
            return;
        }
        match heartbeat.look(&mut connection.quiet) {
            Action::Nothing => {}
            Action::Ping if has_outbox => {}
            Action::Ping => {
                let ping = match heartbeat.data() {
                    [] if connection.encoding.is_websocket() => websocket::ping(),
                    _ if connection.encoding.is_gateway2() => websocket::ping(),
                    // Protocols other than websocket have no ping.
                    [] => return,
                    data => protocol::message(connection.encoding, self.settings.server.message_type, data),
                };
                self.send(key, ping);
            }
            Action::GiveUp => self.lose(key, true),
        }
    }
}
