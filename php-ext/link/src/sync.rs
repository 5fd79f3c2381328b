//! The locks and threads by which PHP's thread and the I/O thread work together; the unit tests' models take shuttle's, so that
//! shuttle chooses every step.

#[cfg(all(test, feature = "models"))]
pub(crate) use shuttle::{
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64},
    },
    thread::{self, JoinHandle},
};
#[cfg(not(all(test, feature = "models")))]
pub(crate) use std::{
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64},
    },
    thread::{self, JoinHandle},
};
