//! Messages that have not come whole: what all of them take is bounded.

use super::clients::Clients;
use super::connection::ConnectionExt;
use crate::protocol::PartialMessage;

impl Clients {
    pub(super) fn unfinished_bytes(&self) -> usize {
        self.unfinished
    }

    pub(super) fn take_unfinished(&mut self, key: usize) -> Option<PartialMessage> {
        let taken = self.connections[key].existing_extra_mut().and_then(ConnectionExt::take_unfinished)?;
        self.unfinished -= taken.weight();
        Some(taken)
    }

    /// For a client of which [`Clients::take_unfinished`] has taken what was there.
    pub(super) fn keep_unfinished(&mut self, key: usize, unfinished: Option<PartialMessage>) {
        match unfinished {
            Some(unfinished) => {
                self.unfinished += unfinished.weight();
                self.connections[key].extra_mut().rare_mut().unfinished = Some(unfinished);
            }
            None => self.connections[key].slim(),
        }
    }

    /// Who holds any, and how many bytes: who holds most comes first. Everybody is looked at for it.
    pub(super) fn longest_unfinished(&self) -> Vec<(usize, usize)> {
        let weights = self.connections.iter().map(|(key, connection)| {
            (key, connection.extra().and_then(ConnectionExt::unfinished).map_or(0, PartialMessage::weight))
        });
        let mut weights: Vec<_> = weights.filter(|(_, weight)| *weight > 0).collect();
        weights.sort_unstable_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        weights
    }
}
