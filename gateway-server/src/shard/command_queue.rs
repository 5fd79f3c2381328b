//! The command queue of a shard, which is bounded in bytes and wakes the shard's poll loop only when that may sleep.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use crossbeam_channel::TrySendError;

use super::command::Command;
use super::sync::{AtomicBool, Receiver, Semaphore, Sender, Waker, unbounded};

/// Space in the queue is counted in units of this many bytes. Each command takes one unit at least, so the number of commands is
/// bounded too.
const UNIT: usize = 512;
/// The size of the queue in units, which is 16 MiB.
const UNITS: usize = 32 << 10;

/// The error of a command or query for a shard that has ended.
#[derive(Debug, thiserror::Error)]
#[error("the server is stopping, or has a fault that its log tells of")]
pub struct Stopped;

/// The sending end, which all other threads share.
pub(super) struct CommandSender {
    commands: Sender<(Command, u32)>,
    shared: Arc<Shared>,
}

/// The shard's end.
pub(super) struct CommandReceiver {
    shared: Arc<Shared>,
}

/// What both ends of the queue share.
struct Shared {
    /// The commands that the shard has not taken yet.
    commands: Receiver<(Command, u32)>,
    /// The free space of the queue, in units.
    space: Semaphore,
    /// Whether the loop has been woken since it last began to read the queue. No second call wakes it before that.
    woken: AtomicBool,
    waker: Waker,
}

pub(super) fn command_queue(waker: Waker) -> (CommandSender, CommandReceiver) {
    // The space bounds what is in it. A channel with a bound of its own would take six megabytes from the start.
    let (sender, receiver) = unbounded();
    let (space, woken) = (Semaphore::new(UNITS), AtomicBool::new(false));
    let shared = Arc::new(Shared { commands: receiver, space, woken, waker });
    (CommandSender { commands: sender, shared: Arc::clone(&shared) }, CommandReceiver { shared })
}

impl CommandSender {
    /// Puts a command into the queue and waits while there is no space. Commands that one task sends arrive in their order.
    pub(super) async fn send(&self, command: Command) -> Result<(), Stopped> {
        let units = command.weight().div_ceil(UNIT).min(UNITS) as u32;
        let space = self.shared.space.acquire_many(units).await.map_err(|_| Stopped)?;
        match self.commands.try_send((command, units)) {
            Ok(()) => space.forget(),
            // The channel has no bound, and both ends have the receiver.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return Err(Stopped),
        }
        // Either the shard sees the command when it has closed the queue, or this sees that the queue is closed.
        fence(Ordering::SeqCst);
        if self.shared.space.is_closed() {
            self.shared.clear();
            return Err(Stopped);
        }
        if !self.shared.woken.swap(true, Ordering::SeqCst) {
            self.wake();
        }
        Ok(())
    }

    pub(super) fn wake(&self) {
        // Waking fails only on a full eventfd counter, and then the loop is awake anyway.
        let _ = self.shared.waker.wake();
    }
}

impl CommandReceiver {
    pub(super) fn is_empty(&self) -> bool {
        self.shared.commands.is_empty()
    }

    /// Gives at most `limit` commands to `take`, and stops when `take` returns false. Gives whether commands may be left.
    pub(super) fn drain(&self, limit: usize, mut take: impl FnMut(Command) -> bool) -> bool {
        self.shared.woken.store(false, Ordering::SeqCst);
        let mut freed = 0;
        let mut left = true;
        for _ in 0..limit {
            let Ok((command, units)) = self.shared.commands.try_recv() else {
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

impl CommandReceiver {
    /// Closes the queue, as nobody reads it any more: drops the commands in it, so that callers who wait for an answer get an
    /// error, and makes every further send fail.
    pub(super) fn close(&self) {
        self.shared.space.close();
        fence(Ordering::SeqCst);
        self.shared.clear();
    }
}

impl Shared {
    /// Drops all commands that nobody has taken.
    fn clear(&self) {
        while self.commands.try_recv().is_ok() {}
    }
}
