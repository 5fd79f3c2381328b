//! How a shard carries out commands. In each turn, which is one pass of its poll loop, it takes some from its command queue; others are
//! carried out by the threads that give them, while the shard's thread sleeps.

use std::iter::Peekable;
use std::time::Instant;

use smallvec::SmallVec;

use super::audience::Audience;
use super::command::{Command, SlotOf};
use super::connection::Phase;
use super::drain::Drain;
use super::event_sink::Client;
use super::fault::Concerned;
use super::heartbeat::{Heartbeat, HeartbeatRounds};
use super::origin::Origin;
use super::state::Shard;
use super::{ShardSettings, coalesce};
use crate::protocol::Encoded;
use crate::protocol::close::{self};
use crate::system::injected_faults;

/// The number of commands that are taken from the queue at once.
const AT_ONCE: usize = 32;
/// The sum of [costs](Command::cost) of the commands that are taken before their frames are written.
const COMMANDS_IN_A_ROW: usize = 1024;
/// The bytes of sessions and of changes to them that are merged before the frames of the commands are written.
const MERGED_IN_A_ROW: usize = 256 << 10;

impl Shard {
    /// Carries out one command outside a turn of the loop. The frames that it brings wait for [`Shard::flush`] or the next turn.
    pub(super) fn obey_alone(&mut self, command: Command) {
        let concerned = Concerned::by(&command);
        self.for_command(concerned, |shard| shard.obey(command, &mut std::iter::empty().peekable()));
        if self.turn.is_full() {
            self.write_slice();
        }
    }

    /// Writes what waits. Gives false if the shard's thread has to be woken: for the rest of it, or as it sleeps without knowing of a new
    /// deadline.
    pub(super) fn flush(&mut self) -> bool {
        if self.is_frozen {
            // Everything was written before the shard froze, and its thread looks at all deadlines when it thaws.
            return true;
        }
        self.write_slice();
        let knows_held_back = self.watches_held_back || !self.turn.holds_back();
        self.turn.is_empty()
            && knows_held_back
            && self.closing.is_empty()
            && (self.watches_slow || !self.has_slow())
    }

    /// Takes commands from the queue until it is empty, they have cost enough for one turn, or one has to wait for the rest of a turn.
    /// Gives whether some may be left.
    pub(super) fn take_commands(&mut self) -> bool {
        let mut commands = SmallVec::<[Command; AT_ONCE]>::new();
        commands.extend(self.postponed.drain(..));
        let mut cost = 0;
        self.clients.merged = 0;
        loop {
            if self.turn.has_rest() && self.turn.is_full() {
                self.postponed.extend(commands);
                return true;
            }
            let mut left = true;
            if commands.is_empty() {
                left = self.commands.drain(AT_ONCE, |command| {
                    // After a command that may cost much, the shard looks first whether there is time for more.
                    let is_cheap = command.is_cheap();
                    cost += command.cost();
                    commands.push(command);
                    is_cheap
                });
            }
            if !self.carry_out(commands.drain(..)) {
                return true;
            }
            if !left
                || cost >= COMMANDS_IN_A_ROW
                || self.clients.merged >= MERGED_IN_A_ROW
                || self.turn.is_full()
            {
                return left;
            }
        }
    }

    /// Carries commands out in their order. Gives false if one has to wait for the rest of the turn, and then the others wait behind it.
    pub(super) fn carry_out(&mut self, commands: impl Iterator<Item = Command>) -> bool {
        let mut commands = commands.peekable();
        while let Some(command) = commands.next() {
            if self.must_wait(&command) {
                self.postponed.push(command);
                self.postponed.extend(commands);
                return false;
            }
            let concerned = Concerned::by(&command);
            self.for_command(concerned, |shard| shard.obey(command, &mut commands));
        }
        true
    }

    pub(super) fn obey(&mut self, command: Command, next: &mut Peekable<impl Iterator<Item = Command>>) {
        match command {
            Command::Adopt { connection_id, new_connection, identity } => {
                self.adopt(connection_id, new_connection, identity)
            }
            Command::Deliver { to, frame, origin } => {
                let (frame, messages) = coalesce::with_next(&to, frame, origin, next);
                self.deliver(&to, frame, origin, messages);
            }
            Command::Close { connection_id, last } => {
                if let Some(key) = self.clients.key(connection_id) {
                    if let Some(last) = last {
                        let last = self.turn.add(last, Origin::HERE, 1)
                            [self.clients.connections[key].encoding as usize];
                        self.turn.link(key, &mut self.clients.connections[key].pending, last);
                        self.clients.counts.messages_out += 1;
                    }
                    if self.clients.connections[key].phase == Phase::Parked {
                        self.close_parked(key);
                    } else {
                        self.clients.resume.bury_closed(connection_id, key);
                        self.close(key, close::BY_APPLICATION, Phase::Closing);
                    }
                }
            }
            Command::Destroy { connection_id } => {
                if let Some(key) = self.clients.key(connection_id) {
                    self.clients.resume.bury_closed(connection_id, key);
                    self.abort(key);
                }
            }
            Command::ComeBack { connection_id, offer, new_connection } => {
                self.come_back(connection_id, &offer, new_connection)
            }
            Command::Disown { connection_id, offer, reason } => {
                if let Ok(key) = self.clients.find(connection_id, &offer) {
                    self.disown(key, reason);
                }
            }
            // The task that waits for an answer may have given up.
            Command::AwaitArrival { connection_id, arrival, back } => {
                let _ = back.send(self.await_arrival(connection_id, *arrival));
            }
            Command::CompleteArrival { connection_id, arrived, new_connection, back } => {
                let _ = back.send(self.complete_arrival(connection_id, *arrived, new_connection));
            }
            Command::AbandonArrival { connection_id } => self.abandon_arrival(connection_id),
            Command::Depart { connection_id, offer, names, back } => {
                let _ = back.send(self.depart(connection_id, &offer, &names));
            }
            Command::SettleDeparted { connection_id, was_taken } => {
                self.settle_departed(connection_id, was_taken)
            }
            Command::EvictParked { key, connection_id, done } => {
                self.evict_parked(key, connection_id);
                drop(done);
            }
            Command::CloseRelayed { relay, most } => self.close_relayed(relay, most),
            Command::GiveUp { key, connection_id } => self.give_up(key, connection_id),
            Command::Change { connection_id, change } => {
                self.clients.change(connection_id, change, &self.settings.server)
            }
            Command::Ungroup { group } => self.clients.ungroup(&group),
            Command::Ask(question) => question(&self.clients),
            Command::Shrink => self.clients.shrink(),
            Command::ReadOn => self.read_paused(),
            Command::Freeze(freezing) => self.freezing = Some(freezing),
            Command::Configure(settings) => self.configure(&settings),
            Command::Recount(slot_of) => self.recount(&slot_of),
            Command::Stop { over, patience, keeps_parked } => {
                self.keeps_parked = keeps_parked;
                let online = self.clients.online().len();
                self.drain = Some(Drain::new(online, over, patience, Instant::now()));
            }
        }
    }

    pub(super) fn deliver(&mut self, to: &Audience, message: Encoded, origin: Origin, messages: u64) {
        injected_faults::strike("delivery");
        let parts = to.parts();
        let again = (parts > 1).then(|| message.clone());
        let mut frames = self.turn.add(message, origin, messages as u32);
        let mut receivers = 0;
        for part in 0..parts {
            // A long list may name the same clients again and again, so what waits to be written is bounded between its parts.
            if self.turn.is_full()
                && let Some(message) = &again
            {
                self.write_turn();
                frames = self.turn.add(message.clone(), origin, messages as u32);
            }
            let Self { clients, turn, .. } = self;
            clients.each_of(to, part, |key, connection| {
                receivers += 1;
                turn.link(key, &mut connection.pending, frames[connection.encoding as usize]);
            });
        }
        self.clients.counts.messages_out += receivers * messages;
    }

    pub(super) fn configure(&mut self, settings: &ShardSettings) {
        self.clients.held.total().set_bound(settings.server.max_outbox_bytes);
        let now = Instant::now();
        for (listener, new) in settings.listeners.iter().enumerate() {
            let new = Heartbeat(new);
            if Heartbeat(&self.settings.listeners[listener]) == new {
                continue;
            }
            self.rounds[listener] = HeartbeatRounds::new(&new, now);
            // Silence that the old settings allowed closes no client under the new ones.
            for (_, connection) in &mut self.clients.connections {
                if usize::from(connection.listener) == listener {
                    connection.quiet = 0;
                }
            }
        }
        self.settings = settings.clone();
    }

    pub(super) fn recount(&mut self, slot_of: &SlotOf) {
        let Self { clients, settings, .. } = self;
        for (key, connection) in &clients.connections {
            match slot_of(&|| Client::of(connection, &settings.ports).peer()) {
                Some(slot) => drop(clients.slots.insert(key, slot)),
                None => drop(clients.slots.remove(&key)),
            }
        }
    }
}
