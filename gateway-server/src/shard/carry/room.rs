//! Room for the clients that a shard is to take over, before the first of them comes.

use super::super::connection::Connection;
use super::super::state::Shard;
use super::record::CarriedSizes;
use crate::system::allocator::widen_heap;
use crate::system::memory_reserve;

/// The bytes of an entry in the table of connection ids, and of one in a table of names with that in the index. A table has up to twice as
/// many entries as are filled.
const ID: usize = 32;
const NAME: usize = 256;
/// The memory in bytes that a client takes besides its entries, about.
const CLIENT: usize = 1 << 10;
/// The most entries of a table, and the most bytes of a heap, for which room is made, whatever the other process says of its clients. Where
/// there are more, the rest comes step by step.
const MOST: usize = 1 << 20;
const MOST_BYTES: usize = 32 << 20;

impl Shard {
    /// Makes room in the tables, which else grow step by step and are filled anew at each, and in the heap of this thread. If there is not so
    /// much memory they do so nevertheless.
    pub(super) fn reserve(&mut self, sizes: CarriedSizes) {
        let CarriedSizes { connections, uids, groups } = sizes;
        let [connections, uids, groups] = [connections, uids, groups].map(|count| MOST.min(count as usize));
        let tables = connections * (size_of::<Connection>() + ID) + (uids + groups) * NAME;
        if !memory_reserve::has_room(tables) {
            return;
        }
        widen_heap((connections * CLIENT).min(MOST_BYTES));
        self.clients.reserve(connections);
        self.clients.uids.reserve(uids);
        self.clients.groups.reserve(groups);
    }
}
