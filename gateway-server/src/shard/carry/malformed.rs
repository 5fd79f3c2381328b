//! Why bytes are no batch of clients that this server can take over.

use std::io;

use crate::system::memory_reserve::NoMemory;

/// The version of the form. It stands in the first byte of each batch.
pub(super) const VERSION: u8 = 1;

/// The error of a batch that cannot be taken over. Some of its clients, and those of earlier batches, are in the shard by then, so the
/// shard must not be thawed.
#[derive(Debug, thiserror::Error)]
pub enum MalformedBatch {
    #[error("the batch has no bytes")]
    Empty,
    #[error("the clients are written in version {0}, and this server reads version {VERSION}")]
    OtherVersion(u8),
    #[error("the clients are not written as version {VERSION} writes them: {0}")]
    Msgpack(#[from] rmp_serde::decode::Error),
    #[error("the batch came with {came} sockets, and its clients have {expected}")]
    Sockets { came: usize, expected: usize },
    #[error("the clients contradict each other or themselves: {0}")]
    Contradiction(&'static str),
    #[error("a socket cannot be polled: {0}")]
    Socket(io::Error),
    #[error("the clients cannot be taken over: {0}")]
    NoMemory(#[from] NoMemory),
}
