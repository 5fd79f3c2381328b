//! A shard begins to hear the clients that it has taken over. It sends at once what it is given for them, and puts their sockets into its
//! poll in its first turns, as that takes longer than all the rest of their taking over.

use tracing::warn;

use super::super::polling::begin_late;
use super::super::state::Shard;

/// The number of connections that a turn puts into the poll.
pub(super) const IN_A_TURN: usize = 256;

impl Shard {
    /// Puts some of the connections that were taken over into the poll, which tells of what they have sent meanwhile. Those that have sent
    /// a part of a message are read as well, as the part may hold more than one message.
    pub(in crate::shard) fn hear_restored(&mut self) {
        let keys = self.unpolled.take(IN_A_TURN);
        for (at, key) in keys.iter().copied().enumerate() {
            let Some(connection) = self.clients.connections.get_mut(key) else { continue };
            if let Err(error) = begin_late(key, connection, &self.registry) {
                if self.unpolled.take_back(&keys[at..]) {
                    warn!(%error, "clients that were taken over cannot be heard yet; the system is asked again");
                }
                return;
            }
            if connection.extra().is_some_and(|extra| extra.partial().is_some()) {
                self.read_later(key);
            }
        }
        if !keys.is_empty() {
            self.unpolled.go_on();
        }
    }
}
