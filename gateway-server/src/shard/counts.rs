//! What a shard counts about its clients: plain numbers that only the holder of the shard's lock changes.

use gateway_wire::client_protocol::GapReason;

/// Counts since the start of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that the shard has taken over.
    pub came: u64,
    /// Messages that clients have sent, after decoding.
    pub messages_in: u64,
    /// Bytes that were read from clients, after TLS and before decompression.
    pub bytes_in: u64,
    /// Messages to clients; a message counts once for each of its receivers.
    pub messages_out: u64,
    /// The bytes that sockets have taken, control frames and framing included.
    pub bytes_out: u64,
}

/// Counts since the start of the server of clients that may come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResumeCounts {
    /// How often a client was parked.
    pub parked: u64,
    /// How often a client came back and had missed nothing.
    pub resumed: u64,
    /// How often a page came back and may have missed something, by the reason.
    gaps: [u64; GapReason::ALL.len()],
}

impl ResumeCounts {
    pub(super) fn gap(&mut self, reason: GapReason) {
        self.gaps[reason as usize] += 1;
    }

    /// Adds to the number of pages that were told a reason.
    pub(super) fn add_gaps(&mut self, reason: GapReason, count: u64) {
        let told = &mut self.gaps[reason as usize];
        *told = told.saturating_add(count);
    }

    /// The reasons, each with how often a page was told it.
    pub fn gaps(&self) -> impl Iterator<Item = (GapReason, u64)> {
        GapReason::ALL.into_iter().zip(self.gaps)
    }

    /// Adds the counts of another shard.
    pub fn add(&mut self, other: &Self) {
        self.parked += other.parked;
        self.resumed += other.resumed;
        self.gaps.iter_mut().zip(other.gaps).for_each(|(count, other)| *count += other);
    }
}

/// The state of a shard at one moment.
#[derive(Clone, Debug, Default)]
pub struct ShardCounts {
    pub counts: Counts,
    /// The number of online clients.
    pub clients: usize,
    /// The number of online clients of each listener, in the order of the listeners in the settings.
    pub clients_by_door: Vec<usize>,
    /// The number of clients that are parked; they are online too.
    pub parked: usize,
    /// The memory of what is kept for clients that may come back, in bytes.
    pub kept: usize,
    pub resume: ResumeCounts,
    /// Clients whose outboxes hold something, as their sockets take no more at the moment.
    pub slow: usize,
    /// The memory of messages that have arrived in part, in bytes.
    pub partial: usize,
}
