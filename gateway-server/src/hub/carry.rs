//! All shards frozen, so that another process takes their clients over or so that they take over those of another.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use futures_util::future::try_join_all;
use tokio::sync::OwnedSemaphorePermit;

use super::Hub;
use super::wanted_forms::WantedForms;
use crate::relay::RelayedClient;
use crate::shard::carry::frozen::FrozenShard;
use crate::shard::connection_id::ConnectionIds;
use crate::shard::handle::ShardHandle;
use crate::shard::{MalformedBatch, MalformedIds, Stopped};

/// The shards of a hub while they are frozen: they neither read nor write, and commands wait for them. Dropping this thaws them, and
/// they go on as if nothing had been.
///
/// The methods block, so they are for a thread that may.
pub struct FrozenHub {
    shards: Vec<Arc<FrozenShard>>,
    connection_ids: Arc<ConnectionIds>,
    wanted: Arc<WantedForms>,
    _turn: OwnedSemaphorePermit,
}

impl Hub {
    /// Freezes all shards, each behind the commands that it was given before. If one has ended, none stays frozen.
    pub async fn freeze(&self) -> Result<FrozenHub, Stopped> {
        // Two who each wait for the shards that the other has would wait for ever.
        let turn = Arc::clone(&self.freezes).acquire_owned().await.map_err(|_| Stopped)?;
        let shards = try_join_all(self.shards.iter().map(ShardHandle::freeze)).await?;
        let (connection_ids, wanted) = (Arc::clone(&self.connection_ids), Arc::clone(&self.wanted));
        Ok(FrozenHub {
            shards: shards.into_iter().map(Arc::new).collect(),
            connection_ids,
            wanted,
            _turn: turn,
        })
    }

    /// The number of connections, the number of those that need a relay, and the memory of what waits for all of them and is kept, in
    /// bytes: what it takes to carry them.
    pub async fn to_carry(&self) -> Result<(usize, usize, usize), Stopped> {
        let of_shards = self.ask_all(|clients| clients.to_carry()).await?;
        Ok(of_shards.into_iter().fold((0, 0, 0), |all, one| (all.0 + one.0, all.1 + one.1, all.2 + one.2)))
    }
}

/// Takes a batch of a shard: its bytes, and the sockets of its clients.
type Out<'o> = dyn FnMut(usize, &[u8], &[BorrowedFd<'_>]) -> io::Result<()> + Send + 'o;

/// Restores the clients of one shard, in a thread of its own if need be. The shard stays frozen as long as this is there.
#[derive(Clone)]
pub struct ShardRestorer {
    shard: Arc<FrozenShard>,
    wanted: Arc<WantedForms>,
}

impl FrozenHub {
    /// The number of shards.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Gives the clients of all shards to `out`, batch by batch: the shard, the bytes, and the sockets of the clients, at most 250. The
    /// bytes are at most 256 KiB, or what one client takes without its messages if that is more. The batches of one shard come in their
    /// order, among those of the others: each shard has a thread that makes its batches. After an error of `out` it is not called again.
    pub fn write(&self, out: &mut Out<'_>) -> io::Result<()> {
        let out = Mutex::new(Some(out));
        let write = |shard: usize| {
            self.shards[shard].write(&mut |bytes, sockets| {
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                let failed = || io::Error::other("the clients of another shard could not be given");
                let result = out.as_mut().ok_or_else(failed)?(shard, bytes, sockets);
                if result.is_err() {
                    *out = None;
                }
                result
            })
        };
        thread::scope(|scope| {
            let begin = |shard| {
                let thread = thread::Builder::new().name("giving".to_owned());
                // Where there is no thread to be had, this one does it.
                thread.spawn_scoped(scope, move || write(shard)).map_err(|_| shard)
            };
            let others: Vec<_> = (1..self.shards.len()).map(begin).collect();
            let first = if self.shards.is_empty() { Ok(()) } else { write(0) };
            let ended = others.into_iter().map(|other| match other {
                Ok(thread) => {
                    thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread has panicked")))
                }
                Err(shard) => write(shard),
            });
            // Every thread is waited for, whatever the others have met.
            ended.fold(first, io::Result::and)
        })
    }

    /// What takes over the clients of this shard, if there is such a shard.
    pub fn restorer(&self, shard: usize) -> Option<ShardRestorer> {
        let (shard, wanted) = (Arc::clone(self.shards.get(shard)?), Arc::clone(&self.wanted));
        Some(ShardRestorer { shard, wanted })
    }

    /// How far the connection ids have come. The other process has the same key.
    pub fn export_ids(&self) -> Vec<u8> {
        self.connection_ids.export()
    }

    /// Goes on where the connection ids of another process have stopped.
    pub fn resume_ids(&self, exported: &[u8]) -> Result<(), MalformedIds> {
        self.connection_ids.resume(exported)
    }

    /// Takes the TLS clients of a shard, once the other process has them: the bytes of each go through this process from now on.
    pub fn take_relayed(&self, shard: usize) -> Vec<RelayedClient> {
        self.shards[shard].take_relayed()
    }

    /// Frees what is kept of the clients to go on with them, as another process does: the shards must never thaw.
    pub fn forget(&self) {
        self.shards.iter().for_each(|shard| shard.forget());
    }

    /// Never thaws the shards, and closes this process's descriptors of the clients' sockets, without which a client would not be told
    /// that the other process has closed its connection.
    pub fn stay_frozen(self) {
        self.shards.iter().for_each(|shard| shard.stay_frozen());
    }
}

impl ShardRestorer {
    /// Takes over the clients of a batch of the same shard of another process. Batches come in their order. After an error some clients
    /// are here, so the process must end without thawing.
    pub fn restore(&self, bytes: &[u8], sockets: Vec<OwnedFd>) -> Result<(), MalformedBatch> {
        let encodings = self.shard.restore(bytes, sockets)?;
        encodings.into_iter().for_each(|encoding| self.wanted.note(encoding));
        Ok(())
    }
}
