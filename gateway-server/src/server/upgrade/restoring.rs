//! The restoring of clients that another process gives: each shard has a thread that takes over its clients while the next batches, and
//! those of other shards, are received.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use crate::hub::{FrozenHub, ShardRestorer};
use crate::system::priority::Hurry;

/// The number of batches that may wait for the thread of a shard, so that whoever receives them seldom waits for it. Each has about 256 KiB
/// at most, and some 25 KiB of clients for whom little waits.
const WAITING: usize = 16;

/// The threads that restore clients. Dropping this waits for them.
pub(super) struct Restoring {
    shards: Vec<ShardThread>,
    /// Has the thread that receives the batches hurry until all are restored, as those do that it has started.
    hurry: Option<Hurry>,
}

/// A batch: its bytes and the sockets of its clients.
type Batch = (Vec<u8>, Vec<OwnedFd>);

/// The thread of one shard.
enum ShardThread {
    Runs {
        batches: SyncSender<Batch>,
        thread: JoinHandle<Result<(), String>>,
    },
    /// There was no thread to be had, so whoever receives the batches restores them.
    Missing(ShardRestorer),
    Ended,
}

impl Restoring {
    /// Begins to restore the clients of these shards.
    pub(super) fn begin(frozen: &FrozenHub) -> Self {
        let hurry = Hurry::begin();
        let restorers = (0..frozen.shards()).filter_map(|shard| frozen.restorer(shard));
        Self { shards: restorers.map(ShardThread::begin).collect(), hurry }
    }

    /// Has a batch of a shard restored. The error may be that of an earlier batch of the shard.
    pub(super) fn restore(
        &mut self,
        shard: u32,
        bytes: Vec<u8>,
        sockets: Vec<OwnedFd>,
    ) -> Result<(), String> {
        let shard = self.shards.get_mut(shard as usize).ok_or("there is no such shard")?;
        shard.restore((bytes, sockets))
    }

    /// Waits until everything is restored.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        // Every thread is waited for, whatever the others have met.
        let result = self.shards.iter_mut().map(ShardThread::end).fold(Ok(()), Result::and);
        self.hurry = None;
        result
    }
}

impl Drop for Restoring {
    fn drop(&mut self) {
        // This is dropped unfinished only after another error, which is the one that is told.
        let _ = self.finish();
    }
}

impl ShardThread {
    fn begin(restorer: ShardRestorer) -> Self {
        let (batches, received) = sync_channel::<Batch>(WAITING);
        let of_thread = restorer.clone();
        let run = move || received.into_iter().try_for_each(|batch| restore(&of_thread, batch));
        match Builder::new().name("restoring".to_owned()).spawn(run) {
            Ok(thread) => Self::Runs { batches, thread },
            Err(_) => Self::Missing(restorer),
        }
    }

    fn restore(&mut self, batch: Batch) -> Result<(), String> {
        match self {
            Self::Runs { batches, .. } => match batches.send(batch) {
                Ok(()) => Ok(()),
                Err(_) => self.end().and(Err("the thread of a shard has ended".to_owned())),
            },
            Self::Missing(restorer) => restore(restorer, batch),
            Self::Ended => Err("clients came after everything was restored".to_owned()),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        match std::mem::replace(self, Self::Ended) {
            Self::Runs { batches, thread } => {
                drop(batches);
                thread.join().unwrap_or_else(|_| Err("the thread of a shard has panicked".to_owned()))
            }
            Self::Missing(_) | Self::Ended => Ok(()),
        }
    }
}

fn restore(restorer: &ShardRestorer, (bytes, sockets): Batch) -> Result<(), String> {
    restorer.restore(&bytes, sockets).map_err(|error| error.to_string())
}
