//! What a shard counts about its clients: plain numbers that only the holder of the shard's lock changes.

/// Counts since the start of the server.
#[derive(Clone, Copy, Debug, Default)]
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

/// The state of a shard at one moment.
#[derive(Clone, Debug, Default)]
pub struct ShardCounts {
    pub counts: Counts,
    /// The number of online clients.
    pub clients: usize,
    /// The number of online clients of each listener, in the order of the listeners in the settings.
    pub clients_by_door: Vec<usize>,
    /// Clients whose outboxes hold something, as their sockets take no more at the moment.
    pub slow: usize,
    /// The memory of messages that have arrived in part, in bytes.
    pub partial: usize,
}
