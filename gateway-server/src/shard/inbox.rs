//! The queue in front of a shard: bounded in bytes, and waking its poll loop only when it may sleep.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::TrySendError;

use super::command::Command;
use super::sync::{AtomicBool, Receiver, Semaphore, Sender, Waker, bounded};

/// Space is counted in units of this many bytes, so that the number of commands is bounded with it.
const UNIT: usize = 512;
/// 16 MiB in all.
const UNITS: usize = 32 << 10;

#[derive(Debug, thiserror::Error)]
#[error("the server is stopping, or has a fault that its log tells of")]
pub struct Stopped;

/// The senders' end.
pub(super) struct InboxSender {
    commands: Sender<(Command, u32)>,
    shared: Arc<Shared>,
}

/// The shard's end.
pub(super) struct InboxReceiver {
    commands: Receiver<(Command, u32)>,
    shared: Arc<Shared>,
}

struct Shared {
    space: Semaphore,
    /// Whether the loop has been woken since it last began to read the queue.
    woken: AtomicBool,
    waker: Waker,
}

pub(super) fn inbox(waker: Waker) -> (InboxSender, InboxReceiver) {
    let (sender, receiver) = bounded(UNITS);
    let shared = Arc::new(Shared { space: Semaphore::new(UNITS), woken: AtomicBool::new(false), waker });
    (
        InboxSender { commands: sender, shared: Arc::clone(&shared) },
        InboxReceiver { commands: receiver, shared },
    )
}

impl InboxSender {
    /// Waits for space. Commands sent by one task arrive in order.
    pub(super) async fn send(&self, command: Command) -> Result<(), Stopped> {
        let units = command.weight().div_ceil(UNIT).min(UNITS) as u32;
        let space = self.shared.space.acquire_many(units).await.map_err(|_| Stopped)?;
        match self.commands.try_send((command, units)) {
            Ok(()) => space.forget(),
            // Not for want of space: a command takes one unit at least.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return Err(Stopped),
        }
        if !self.shared.woken.swap(true, Ordering::SeqCst) {
            self.wake();
        }
        Ok(())
    }

    pub(super) fn wake(&self) {
        // The only failure is a full eventfd counter, and then the loop is awake anyway.
        let _ = self.shared.waker.wake();
    }
}

impl InboxReceiver {
    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Gives at most `limit` commands to `take`, until it takes no more, and says whether some may be left.
    pub(super) fn drain(&self, limit: usize, mut take: impl FnMut(Command) -> bool) -> bool {
        self.shared.woken.store(false, Ordering::SeqCst);
        let mut freed = 0;
        let mut left = true;
        for _ in 0..limit {
            let Ok((command, units)) = self.commands.try_recv() else {
                left = false;
                break;
            };
            freed += units as usize;
            if !take(command) {
                break;
            }
        }
        if freed > 0 {
            self.shared.space.add_permits(freed);
        }
        left
    }
}

impl InboxReceiver {
    /// Nobody reads it any more. What stands in it is dropped, and whoever waits for an answer to it hears that there is none.
    pub(super) fn close(&mut self) {
        self.shared.space.close();
        let (_, nobody) = bounded(1);
        self.commands = nobody;
    }
}
