//! What a shard's thread shares with others, of which the unit tests' models take other makes, whose every step shuttle chooses.

#[cfg(not(all(test, feature = "models")))]
mod real {
    pub(in crate::shard) use std::sync::Mutex;
    #[cfg(test)]
    pub(in crate::shard) use std::sync::MutexGuard;
    pub(in crate::shard) use std::sync::atomic::AtomicBool;

    pub(in crate::shard) use crossbeam_channel::{Receiver, Sender, bounded};
    pub(in crate::shard) use mio::Waker;
    pub(in crate::shard) use tokio::sync::Semaphore;
}
#[cfg(not(all(test, feature = "models")))]
pub(super) use real::*;

#[cfg(all(test, feature = "models"))]
pub(super) use super::models::stand_ins::*;
