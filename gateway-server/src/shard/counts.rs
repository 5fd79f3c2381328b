//! What a shard counts of its clients: plain numbers of its own thread, read by asking it.

use super::state::Clients;

/// Since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Clients that came.
    pub came: u64,
    pub messages_in: u64,
    pub bytes_in: u64,
    /// One for each receiver of a message.
    pub messages_out: u64,
    /// What sockets have taken, frames of all kinds included.
    pub bytes_out: u64,
}

/// How a shard is now.
#[derive(Clone, Debug, Default)]
pub struct ShardCounts {
    pub counts: Counts,
    pub clients: usize,
    /// How many clients came in by each door, in the order of the settings.
    pub clients_by_door: Vec<usize>,
    /// Clients whose sockets take no more for now.
    pub slow: usize,
    /// Bytes of messages that have not come whole.
    pub unfinished: usize,
}

impl Clients {
    pub(crate) fn census(&self) -> ShardCounts {
        let slow = self.slow.iter().filter_map(|key| self.connections.get(*key as usize));
        let slow = slow.filter(|connection| connection.has_outbox()).count();
        ShardCounts {
            counts: self.counts,
            clients: self.online().len(),
            clients_by_door: self.online_by_door.clone(),
            slow,
            unfinished: self.unfinished_bytes(),
        }
    }

    pub(super) fn count_online(&mut self, door: u8) {
        let door = usize::from(door);
        if door >= self.online_by_door.len() {
            self.online_by_door.resize(door + 1, 0);
        }
        self.online_by_door[door] += 1;
    }
}
