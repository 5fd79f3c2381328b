//! When the clients of a shard are packed, and when they are unpacked.

use super::super::state::Shard;
use super::packed::PackedClients;
use crate::system::allocator::trim_heap;

impl Shard {
    /// Packs the tables of names. The shard must be frozen.
    pub(super) fn begin_packing(&mut self) {
        self.unpack();
        self.packed = PackedClients::begin(&mut self.clients).map(Box::new);
    }

    /// Packs a client, if [`Shard::begin_packing`] has begun to.
    pub(super) fn pack(&mut self, key: usize) {
        if let Some(packed) = &mut self.packed {
            packed.pack(&mut self.clients, key);
        }
    }

    /// Gives back to the system what packing has freed.
    pub(super) fn end_packing(&self) {
        if self.packed.is_some() {
            trim_heap();
        }
    }

    /// Forgets what was packed: another process has the clients.
    pub(super) fn forget_packed(&mut self) {
        self.packed = None;
    }

    /// Gives the clients back what was packed.
    pub(in crate::shard) fn unpack(&mut self) {
        if let Some(packed) = self.packed.take() {
            packed.unpack(&mut self.clients);
        }
    }
}
