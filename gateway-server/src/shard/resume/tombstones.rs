//! Why clients that have ended cannot be resumed, for those who come back all the same.

use std::collections::VecDeque;

use gateway_wire::client_protocol::GapReason;
use hashbrown::HashMap;

/// The largest number of reasons that a shard remembers. Of a client that ended before them nothing is known but that it was here.
const MOST: usize = 16 << 10;

/// The reasons of clients that ended otherwise than by staying away too long, by their connection ids.
#[derive(Default)]
pub(super) struct Tombstones {
    reasons: HashMap<u32, GapReason>,
    /// The connection ids, the oldest first.
    order: VecDeque<u32>,
}

impl Tombstones {
    pub(super) fn insert(&mut self, connection_id: u32, reason: GapReason) {
        if reason == GapReason::Expired || self.reasons.insert(connection_id, reason).is_some() {
            return;
        }
        self.order.push_back(connection_id);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.reasons.remove(&oldest);
        }
    }

    /// All reasons, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, GapReason)> {
        self.order.iter().filter_map(|connection_id| Some((*connection_id, self.reason(*connection_id)?)))
    }

    pub(super) fn reason(&self, connection_id: u32) -> Option<GapReason> {
        self.reasons.get(&connection_id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut tombstones = Tombstones::default();
        for connection_id in 0..=MOST as u32 {
            tombstones.insert(connection_id, GapReason::Closed);
            tombstones.insert(connection_id, GapReason::Overflow);
        }
        assert_eq!((tombstones.reason(0), tombstones.reason(1)), (None, Some(GapReason::Overflow)));
        assert_eq!((tombstones.reasons.len(), tombstones.order.len()), (MOST, MOST));
    }
}
