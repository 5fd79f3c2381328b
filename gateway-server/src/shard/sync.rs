//! The locks and channels between a shard's thread and others. The model tests replace them with shuttle's, which control the
//! order of every step.

#[cfg(not(all(test, feature = "models")))]
mod real {
    pub(in crate::shard) use std::sync::atomic::AtomicBool;
    pub(in crate::shard) use std::sync::{Mutex, MutexGuard};

    pub(in crate::shard) use crossbeam_channel::{Receiver, Sender, unbounded};
    pub(in crate::shard) use mio::Waker;
    pub(in crate::shard) use tokio::sync::Semaphore;
}
#[cfg(not(all(test, feature = "models")))]
pub(super) use real::*;

#[cfg(all(test, feature = "models"))]
pub(super) use super::models::stand_ins::*;
