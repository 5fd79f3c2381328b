//! Why bytes are no batch of clients that this server can take over.

use crate::system::memory_reserve::NoMemory;
use crate::versioned::Malformed;

/// The error of a batch that cannot be taken over. Some of its clients, and those of earlier batches, are in the shard by then, so the
/// shard must not be thawed.
#[derive(Debug, thiserror::Error)]
pub enum MalformedBatch {
    #[error(transparent)]
    Form(#[from] Malformed),
    #[error("the batch came with {came} sockets, and its clients have {expected}")]
    Sockets { came: usize, expected: usize },
    #[error("the clients contradict each other or themselves: {0}")]
    Contradiction(&'static str),
    #[error("the clients cannot be taken over: {0}")]
    NoMemory(#[from] NoMemory),
}
