//! All shards frozen, so that another process takes their clients over or so that they take over those of another.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

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
    shards: Vec<FrozenShard>,
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
        Ok(FrozenHub { shards, connection_ids, wanted, _turn: turn })
    }

    /// The number of connections, the number of those that need a relay, and the memory of what waits for all of them and is kept, in
    /// bytes: what it takes to carry them.
    pub async fn to_carry(&self) -> Result<(usize, usize, usize), Stopped> {
        let of_shards = self.ask_all(|clients| clients.to_carry()).await?;
        Ok(of_shards.into_iter().fold((0, 0, 0), |all, one| (all.0 + one.0, all.1 + one.1, all.2 + one.2)))
    }
}

/// Takes a batch: its bytes, and the sockets of its clients.
type Out<'o> = dyn FnMut(&[u8], &[BorrowedFd<'_>]) -> io::Result<()> + Send + 'o;

impl FrozenHub {
    /// The number of shards.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Gives the clients of a shard to `out`, batch by batch: the bytes, and the sockets of the clients, at most 250. The bytes are at
    /// most 1 MiB, or what one client takes without its messages if that is more.
    pub fn write(&self, shard: usize, out: &mut Out<'_>) -> io::Result<()> {
        self.shards[shard].write(out)
    }

    /// Takes over the clients of a batch of the same shard of another process. Batches come in their order. After an error some clients
    /// are here, so the process must end without thawing.
    pub fn restore(&self, shard: usize, bytes: Vec<u8>, sockets: Vec<OwnedFd>) -> Result<(), MalformedBatch> {
        let shard = self.shards.get(shard).ok_or(MalformedBatch::Contradiction("there is no such shard"))?;
        let encodings = shard.restore(&bytes, sockets)?;
        encodings.into_iter().for_each(|encoding| self.wanted.note(encoding));
        Ok(())
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
        self.shards.iter().for_each(FrozenShard::forget);
    }

    /// Never thaws the shards, and closes this process's descriptors of the clients' sockets, without which a client would not be told
    /// that the other process has closed its connection.
    pub fn stay_frozen(self) {
        self.shards.into_iter().for_each(FrozenShard::stay_frozen);
    }
}
