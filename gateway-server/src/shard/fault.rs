//! What happens when a shard panics: the one client or command that caused it is given up where the rest of the shard is
//! consistent without it; else the process ends, as the clients of a shard that has stopped would wait for ever.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use super::command::Command;
use super::connection::Phase;
use super::panics::or_end;
use super::state::Shard;
use crate::protocol::close;
use crate::protocol::websocket::Inflater;
use crate::system::exit;

/// The clients that a command concerns, and so those that a panic during the command affects.
#[derive(Clone, Copy)]
pub(super) enum Concerned {
    Client(u32),
    /// The command changes no client's state. After a panic, some clients miss what the command was to bring them.
    Nobody,
    /// The command may have changed the state of any client in part, so the process ends.
    Everybody,
}

impl Concerned {
    pub(super) fn by(command: &Command) -> Self {
        match command {
            Command::Adopt { connection_id, .. }
            | Command::Close { connection_id, .. }
            | Command::Destroy { connection_id }
            | Command::GiveUp { connection_id, .. }
            | Command::EvictParked { connection_id, .. }
            | Command::Change { connection_id, .. } => Self::Client(*connection_id),
            Command::ComeBack { connection_id, .. }
            | Command::Disown { connection_id, .. }
            | Command::AwaitArrival { connection_id, .. }
            | Command::CompleteArrival { connection_id, .. }
            | Command::AbandonArrival { connection_id }
            | Command::Depart { connection_id, .. }
            | Command::SettleDeparted { connection_id, .. } => Self::Client(*connection_id),
            Command::Deliver { .. } | Command::Ask(_) | Command::Freeze(_) => Self::Nobody,
            Command::Ungroup { .. }
            | Command::Shrink
            | Command::ReadOn
            | Command::Configure(_)
            | Command::Recount(_)
            | Command::CloseRelayed { .. }
            | Command::Stop { .. } => Self::Everybody,
        }
    }
}

impl Shard {
    /// Counts one piece of work, which shows a watchdog that the shard is not stuck.
    fn step(&self) {
        // There is no other writer at the same time: whoever does a shard's work holds its lock.
        self.steps.store(self.steps.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Does some work for one client, and closes the client if the work panics.
    pub(super) fn for_client(&mut self, key: usize, work: impl FnOnce(&mut Self)) {
        self.step();
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.panic_budget.spend();
            or_end("the closing of a client", || self.close_faulty(key));
        }
    }

    /// Does what [`Shard::for_client`] does while the turn's frames are being written. After a panic the client is dropped
    /// without a close frame, as this turn can send no more.
    pub(super) fn write_for_client(&mut self, key: usize, work: impl FnOnce(&mut Self)) {
        self.step();
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.panic_budget.spend();
            or_end("the end of a client", || {
                if self.clients.connections.contains(key) {
                    self.abort(key);
                }
            });
        }
    }

    /// Carries out a command; after a panic, only the clients that it [concerns](Concerned) suffer.
    pub(super) fn for_command(&mut self, concerned: Concerned, work: impl FnOnce(&mut Self)) {
        self.step();
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_ok() {
            return;
        }
        self.panic_budget.spend();
        match concerned {
            Concerned::Client(connection_id) => or_end("the closing of a client", || {
                if let Some(key) = self.clients.key(connection_id) {
                    self.close_faulty(key);
                }
            }),
            Concerned::Nobody => {}
            Concerned::Everybody => exit::now("a fault in an order that concerns all clients of a shard"),
        }
    }

    fn close_faulty(&mut self, key: usize) {
        // The decompressor serves all clients, and the panic may have left it in the middle of a message.
        self.inflater = Inflater::default();
        if !self.clients.connections.contains(key) {
            return;
        }
        drop(self.clients.take_partial(key));
        match self.clients.connections[key].phase {
            Phase::Open => self.close(key, close::INTERNAL_ERROR, Phase::Discarding),
            _ => self.abort(key),
        }
    }
}
