//! Stand-ins for the locks and channels that shards use, with the same interfaces, on shuttle's primitives.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::{TryRecvError, TrySendError};
use mio::{Registry, Token};
use shuttle::future::batch_semaphore::{BatchSemaphore, Fairness};
use shuttle::sync::Condvar;

pub(in crate::shard) use shuttle::sync::atomic::AtomicBool;
pub(in crate::shard) use shuttle::sync::{Mutex, MutexGuard};

/// Stands in for crossbeam's sender: a queue, each use of which is one step.
pub(in crate::shard) struct Sender<T>(Arc<Channel<T>>);

pub(in crate::shard) struct Receiver<T>(Arc<Channel<T>>);

struct Channel<T> {
    queue: Mutex<VecDeque<T>>,
}

pub(in crate::shard) fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel { queue: Mutex::new(VecDeque::new()) });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

impl<T> Sender<T> {
    pub(in crate::shard) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.0.queue.lock().unwrap().push_back(message);
        Ok(())
    }
}

impl<T> Receiver<T> {
    pub(in crate::shard) fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.queue.lock().unwrap().pop_front().ok_or(TryRecvError::Empty)
    }

    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.0.queue.lock().unwrap().is_empty()
    }
}

/// Stands in for tokio's semaphore.
pub(in crate::shard) struct Semaphore(BatchSemaphore);

pub(in crate::shard) struct Permit<'a>(&'a BatchSemaphore, usize);

impl Semaphore {
    pub(in crate::shard) fn new(permits: usize) -> Self {
        Self(BatchSemaphore::new(permits, Fairness::StrictlyFair))
    }

    pub(in crate::shard) async fn acquire_many(&self, permits: u32) -> Result<Permit<'_>, impl Sized> {
        self.0.acquire(permits as usize).await.map(|()| Permit(&self.0, permits as usize))
    }

    pub(in crate::shard) fn add_permits(&self, permits: usize) {
        self.0.release(permits);
    }

    pub(in crate::shard) fn close(&self) {
        self.0.close();
    }

    pub(in crate::shard) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl Permit<'_> {
    pub(in crate::shard) fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.release(self.1);
    }
}

/// Stands in for mio's waker, and for the poll that it wakes.
#[derive(Clone)]
pub(in crate::shard) struct Waker(Arc<(Mutex<bool>, Condvar)>);

impl Waker {
    pub(in crate::shard) fn new(_: &Registry, _: Token) -> std::io::Result<Self> {
        Ok(Self(Arc::new((Mutex::new(false), Condvar::new()))))
    }

    pub(in crate::shard) fn wake(&self) -> std::io::Result<()> {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_one();
        Ok(())
    }

    /// Sleeps as a poll without a timeout does.
    pub(in crate::shard) fn sleep(&self) {
        let mut woken = self.0.0.lock().unwrap();
        while !std::mem::take(&mut *woken) {
            woken = self.0.1.wait(woken).unwrap();
        }
    }
}
