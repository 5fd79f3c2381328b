//! The messages of which clients have sent only a part so far, and the memory that they take together.

use super::clients::Clients;
use super::connection::ConnectionExt;
use crate::protocol::PartialMessage;

impl Clients {
    /// The memory of all such messages of this shard, in bytes.
    pub(super) fn partial_bytes(&self) -> usize {
        self.partial
    }

    /// Takes out what a client has sent of a message so far, so that the decoder can go on with it.
    pub(super) fn take_partial(&mut self, key: usize) -> Option<PartialMessage> {
        let taken = self.connections[key].existing_extra_mut().and_then(ConnectionExt::take_partial)?;
        self.partial -= taken.weight();
        Some(taken)
    }

    /// Keeps what the decoder has left of a message, after [`Clients::take_unfinished`] has taken the earlier state.
    pub(super) fn keep_partial(&mut self, key: usize, partial: Option<PartialMessage>) {
        match partial {
            Some(partial) => {
                self.partial += partial.weight();
                self.connections[key].extra_mut().rare_mut().partial = Some(partial);
            }
            None => self.connections[key].slim(),
        }
    }

    /// The clients that hold part of a message, as (key, bytes), those that hold most first. This looks at every connection.
    pub(super) fn longest_partial(&self) -> Vec<(usize, usize)> {
        let weights = self.connections.iter().map(|(key, connection)| {
            (key, connection.extra().and_then(ConnectionExt::partial).map_or(0, PartialMessage::weight))
        });
        let mut weights: Vec<_> = weights.filter(|(_, weight)| *weight > 0).collect();
        weights.sort_unstable_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        weights
    }
}
