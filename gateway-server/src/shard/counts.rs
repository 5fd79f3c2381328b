//! What a shard counts of its clients: plain numbers of its own thread, read by asking it.

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
