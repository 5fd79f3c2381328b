//! What a panic costs: the one client or order that caused it, where the rest of the shard is whole without it; and else the
//! process, as clients of a shard that does not go on would wait for ever.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use super::command::Command;
use super::connection::Phase;
use super::panics::or_end;
use super::state::Shard;
use crate::protocol::close;
use crate::protocol::websocket::Inflater;
use crate::system::exit;

/// Whom a command is about, and so whom a panic in it costs.
#[derive(Clone, Copy)]
pub(super) enum Concerned {
    Client(u32),
    /// Nobody's state is changed by it: those who did not get what it brings do without.
    Nobody,
    /// Half of it may have been done to anybody.
    Everybody,
}

impl Concerned {
    pub(super) fn by(command: &Command) -> Self {
        match command {
            Command::Adopt { number, .. }
            | Command::Close { number, .. }
            | Command::Destroy { number }
            | Command::GiveUp { number, .. }
            | Command::Change { number, .. } => Self::Client(*number),
            Command::Deliver { .. } | Command::Ask(_) => Self::Nobody,
            Command::Ungroup { .. }
            | Command::Shrink
            | Command::ReadOn
            | Command::Configure(_)
            | Command::Recount(_)
            | Command::Stop { .. } => Self::Everybody,
        }
    }
}

impl Shard {
    /// For those who watch whether the shard does anything.
    fn step(&self) {
        // Nobody else writes it: whoever works has the shard's lock.
        self.steps.store(self.steps.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Does something for one client, which is closed if it panics.
    pub(super) fn for_client(&mut self, key: usize, work: impl FnOnce(&mut Self)) {
        self.step();
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.panic_budget.spend();
            or_end("the closing of a client", || self.close_faulty(key));
        }
    }

    /// Does what [`Shard::for_client`] does while the turn is being written, when nothing more can be sent by it.
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

    /// Carries out a command; a panic costs whom it is about.
    pub(super) fn for_command(&mut self, concerned: Concerned, work: impl FnOnce(&mut Self)) {
        self.step();
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_ok() {
            return;
        }
        self.panic_budget.spend();
        match concerned {
            Concerned::Client(number) => or_end("the closing of a client", || {
                if let Some(key) = self.clients.key(number) {
                    self.close_faulty(key);
                }
            }),
            Concerned::Nobody => {}
            Concerned::Everybody => exit::now("a fault in an order that concerns all clients of a shard"),
        }
    }

    fn close_faulty(&mut self, key: usize) {
        // It is shared, and may have stopped within a message.
        self.inflater = Inflater::default();
        if !self.clients.connections.contains(key) {
            return;
        }
        drop(self.clients.take_unfinished(key));
        match self.clients.connections[key].phase {
            Phase::Open => self.close(key, close::INTERNAL_ERROR, Phase::Discarding),
            _ => self.abort(key),
        }
    }
}
