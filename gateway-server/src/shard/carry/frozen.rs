//! A frozen shard, as whoever has frozen it uses it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex as PlainMutex, MutexGuard as PlainMutexGuard, PoisonError};

use super::super::state::Shard;
use super::super::sync::{Mutex, MutexGuard};
use super::freezing::Frost;
use super::malformed::MalformedBatch;
use super::restore::{Restoration, Restored};
use super::write::{Out, RelayEnds};
use crate::relay::RelayedClient;

/// A frozen shard. Dropping this thaws it, unless it is to stay frozen, and it goes on as if nothing had been.
pub(crate) struct FrozenShard {
    shard: Arc<Mutex<Shard>>,
    /// `None` once the shard is to stay frozen.
    frost: PlainMutex<Option<Frost>>,
    /// What the batches that were taken over have brought that later ones need.
    restoration: PlainMutex<Restoration>,
    /// The ends of the pairs that stand for the sockets of TLS clients that were written.
    relay_ends: PlainMutex<RelayEnds>,
}

impl FrozenShard {
    pub(in crate::shard) fn new(shard: Arc<Mutex<Shard>>, frost: Frost) -> Self {
        let frost = PlainMutex::new(Some(frost));
        Self { shard, frost, restoration: PlainMutex::default(), relay_ends: PlainMutex::default() }
    }

    /// Gives the shard's clients to `out`, batch by batch, with their sockets. They take little memory until the shard thaws.
    pub(crate) fn write(&self, out: &mut Out<'_>) -> io::Result<()> {
        let mut relay_ends = RelayEnds::new();
        self.lock().write_carried(&mut relay_ends, out)?;
        *lock(&self.relay_ends) = relay_ends;
        Ok(())
    }

    /// Takes over the clients of a batch.
    pub(crate) fn restore(&self, bytes: &[u8], sockets: Vec<OwnedFd>) -> Result<Restored, MalformedBatch> {
        let mut restoration = lock(&self.restoration);
        self.lock().restore_batch(&mut restoration, bytes, sockets)
    }

    /// Takes the TLS clients that were written.
    pub(crate) fn take_relayed(&self) -> Vec<RelayedClient> {
        let relay_ends = std::mem::take(&mut *lock(&self.relay_ends));
        self.lock().take_relayed(relay_ends)
    }

    /// Frees what is kept of the clients to go on with them. The shard must never thaw.
    pub(crate) fn forget(&self) {
        self.lock().forget_packed();
    }

    /// Closes this process's descriptors of the clients' sockets. The shard never thaws.
    pub(crate) fn stay_frozen(&self) {
        self.lock().let_go();
        if let Some(frost) = lock(&self.frost).take() {
            frost.stay();
        }
    }

    /// Only whoever has frozen the shard takes its lock for longer than a moment.
    fn lock(&self) -> MutexGuard<'_, Shard> {
        self.shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<T>(mutex: &PlainMutex<T>) -> PlainMutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
