//! How many bytes all connections from PHP hold together: of calls that have not come whole, and of answers that have not been
//! read. A peer that knows the secret may send and ask much, but many such are not to take all memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::BytesMut;
use gateway_wire::bridge::frame::MAX_CALL;
use hashbrown::HashMap;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::system::memory_reserve::{self, NoMemory};

/// What a connection holds up to this is not counted: that is what it has in ordinary use.
const SMALL: usize = 64 << 10;
/// What becomes of an element of a call's list, in memory: the element, a name of its own, and its answer.
const ELEMENT: usize = 128;
/// Bytes of a unit of [`MemoryBudget::work`].
const UNIT: usize = 1 << 10;

/// For all register ports together.
pub struct MemoryBudget {
    limit: AtomicUsize,
    state: Mutex<State>,
    /// What large calls may take while they are carried out; more wait for their turn.
    work: Semaphore,
    units: u32,
}

#[derive(Default)]
struct State {
    total: usize,
    next: u64,
    holders: HashMap<u64, Holder>,
}

struct Holder {
    bytes: usize,
    /// When it last got or gave anything.
    since: Instant,
    revoked: Arc<Notify>,
}

/// What one connection holds.
pub(in crate::php) struct Held {
    budget: Arc<MemoryBudget>,
    counted: Option<(u64, Arc<Notify>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "connections from PHP hold more unfinished calls and unread answers than max_unfinished_bytes, and this one holds most and \
     longest"
)]
pub(super) struct Revoked;

impl MemoryBudget {
    pub fn new(limit: usize) -> Arc<Self> {
        let units =
            u32::try_from(Self::least(limit) / UNIT).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS as u32);
        Arc::new(Self {
            limit: Self::least(limit).into(),
            state: Mutex::default(),
            work: Semaphore::new(units as usize),
            units,
        })
    }

    /// For what is held from now on.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(Self::least(limit), Ordering::Relaxed);
    }

    /// Two calls of the longest kind always have room.
    fn least(limit: usize) -> usize {
        limit.max(2 * MAX_CALL)
    }

    pub(super) fn held(self: &Arc<Self>) -> Held {
        Held { budget: Arc::clone(self), counted: None }
    }

    /// Waits until there is memory for a call to be carried out. Small ones need not.
    pub(super) async fn room_for(
        &self,
        bytes: usize,
        elements: impl FnOnce() -> usize,
    ) -> Option<SemaphorePermit<'_>> {
        if bytes <= SMALL {
            return None;
        }
        let cost = bytes.saturating_add(elements().saturating_mul(ELEMENT)) / UNIT;
        // It is never closed.
        self.work.acquire_many(u32::try_from(cost).unwrap_or(u32::MAX).min(self.units)).await.ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn set(&mut self, id: u64, bytes: usize, now: Instant) {
        // One that has been revoked is not counted any more.
        let Some(holder) = self.holders.get_mut(&id) else { return };
        self.total = self.total - holder.bytes + bytes;
        (holder.bytes, holder.since) = (bytes, now);
    }

    fn remove(&mut self, id: u64) -> Option<Holder> {
        let holder = self.holders.remove(&id)?;
        self.total -= holder.bytes;
        Some(holder)
    }

    /// Closes the connections that have held most for longest, until the others have room. A single connection may always hold what
    /// its own limit allows.
    fn keep_within(&mut self, limit: usize, now: Instant) {
        while self.total > limit && self.holders.len() > 1 {
            let weight = |holder: &Holder| {
                holder.bytes as u128 * (1000 + now.saturating_duration_since(holder.since).as_millis())
            };
            let most = self.holders.iter().max_by_key(|(_, holder)| weight(holder)).map(|(id, _)| *id);
            let Some(holder) = most.and_then(|id| self.remove(id)) else { return };
            holder.revoked.notify_one();
        }
    }
}

impl Held {
    /// It holds so many bytes now.
    pub(super) fn set(&mut self, bytes: usize) {
        if bytes <= SMALL {
            if let Some((id, _)) = self.counted.take() {
                self.budget.state().remove(id);
            }
            return;
        }
        let now = Instant::now();
        let mut state = self.budget.state();
        let (id, _) = self.counted.get_or_insert_with(|| {
            let revoked = Arc::new(Notify::new());
            let id = state.next;
            state.next += 1;
            state.holders.insert(id, Holder { bytes: 0, since: now, revoked: Arc::clone(&revoked) });
            (id, revoked)
        });
        state.set(*id, bytes, now);
        let limit = self.budget.limit.load(Ordering::Relaxed);
        let limit = if memory_reserve::is_short() { limit.min(state.total / 2) } else { limit };
        state.keep_within(limit, now);
    }

    /// Whether it holds much.
    pub(super) fn is_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// Gives what `future` gives, unless others need the memory that this connection holds.
    pub(super) async fn unless_revoked<T>(&self, future: impl Future<Output = T>) -> Result<T, Revoked> {
        let Some((_, revoked)) = &self.counted else { return Ok(future.await) };
        tokio::select! {
            biased;
            // First, as a peer that sends all the while would else go on.
            () = revoked.notified() => Err(Revoked),
            done = future => Ok(done),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Whether there is memory to read more behind what has been read of an unfinished call. Small ones find some always; a buffer
/// that is full becomes twice as large, beside the old one.
pub(super) fn may_grow(input: &BytesMut) -> Result<(), NoMemory> {
    let is_full = input.capacity() - input.len() < ReadSize::MOST;
    if input.len() > SMALL && is_full && !memory_reserve::has_room(2 * input.capacity()) {
        return Err(NoMemory);
    }
    Ok(())
}

/// Whether there is memory to carry out a call: for what it says, in all forms in which it may have to be sent, and for its list.
pub(super) fn may_carry_out(bytes: usize, elements: impl FnOnce() -> usize) -> Result<(), NoMemory> {
    const FORMS: usize = 4;
    let is_refused = bytes > SMALL
        && !memory_reserve::has_room(
            bytes.saturating_mul(FORMS).saturating_add(elements().saturating_mul(ELEMENT)),
        );
    if is_refused { Err(NoMemory) } else { Ok(()) }
}

/// How much is read at once at least: little from one that says little, as most do, so that thousands of them take little.
/// Buffers grow with what arrives, never by a length that was only claimed.
pub(super) struct ReadSize(usize);

impl ReadSize {
    /// How much is read at once from a peer that has not logged in.
    pub(super) const STRANGER: Self = Self(512);
    const LEAST: usize = 2 << 10;
    pub(super) const MOST: usize = 64 << 10;

    pub(super) fn bytes(&self) -> usize {
        self.0
    }

    /// It has logged in.
    pub(super) fn trust(&mut self) {
        self.0 = self.0.max(Self::LEAST);
    }

    /// So many bytes came. A stranger's size stays.
    pub(super) fn came(&mut self, bytes: usize) {
        if self.0 >= Self::LEAST && bytes >= self.0 {
            self.0 = (self.0 * 4).min(Self::MOST);
        } else if bytes < self.0 / 8 {
            self.0 = (self.0 / 2).max(Self::LEAST.min(self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const MIB: usize = 1 << 20;

    fn is_revoked(held: &Held) -> bool {
        held.unless_revoked(std::future::pending::<()>()).now_or_never().is_some()
    }

    #[test]
    fn those_who_hold_most_go_and_one_alone_may_hold_all() {
        let budget = MemoryBudget::new(40 * MIB);
        let (mut small, mut large, mut other) = (budget.held(), budget.held(), budget.held());
        large.set(200 * MIB);
        assert!(!is_revoked(&large));
        large.set(25 * MIB);
        small.set(SMALL + 1);
        other.set(15 * MIB);
        assert_eq!([&small, &large, &other].map(is_revoked), [false, true, false]);
        // It counts no more, whatever it still says.
        large.set(30 * MIB);
        assert_eq!(budget.state().total, 15 * MIB + SMALL + 1);
        drop((large, other));
        small.set(SMALL);
        let state = budget.state();
        assert!(state.total == 0 && state.holders.is_empty());
    }

    #[test]
    fn one_that_is_to_go_goes_though_it_has_more_to_say() {
        let budget = MemoryBudget::new(40 * MIB);
        let (mut large, mut larger) = (budget.held(), budget.held());
        large.set(30 * MIB);
        larger.set(35 * MIB);
        let has_more = larger.unless_revoked(std::future::ready(())).now_or_never();
        assert_eq!(has_more, Some(Err(Revoked)));
    }

    #[test]
    fn those_who_have_stood_still_longest_go_first() {
        let budget = MemoryBudget::new(40 * MIB);
        let mut all: Vec<_> = (0..3).map(|_| budget.held()).collect();
        all[0].set(10 * MIB);
        all[1].set(12 * MIB);
        let hour = std::time::Duration::from_secs(3600);
        for holder in budget.state().holders.values_mut().filter(|holder| holder.bytes == 10 * MIB) {
            holder.since = Instant::now().checked_sub(hour).unwrap_or(holder.since);
        }
        all[2].set(20 * MIB);
        assert_eq!(all.iter().map(is_revoked).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn calls_that_take_all_memory_wait_for_each_other() {
        let budget = MemoryBudget::new(32 * MIB);
        let room = |bytes, elements| budget.room_for(bytes, move || elements).now_or_never();
        assert!(room(SMALL, 1 << 30).is_some_and(|permit| permit.is_none()));
        let first = room(MIB, usize::MAX);
        assert!(first.is_some() && room(MIB, 0).is_none());
        drop(first);
        let several = (room(MIB, 100_000), room(10 * MIB, 0));
        assert!(several.0.is_some() && several.1.is_some() && room(MIB, 100_000).is_none());
    }

    #[test]
    fn a_read_is_as_large_as_what_comes() {
        let mut size = ReadSize::STRANGER;
        size.came(512);
        assert_eq!(size.bytes(), 512);
        size.trust();
        for _ in 0..5 {
            size.came(size.bytes());
        }
        assert_eq!(size.bytes(), ReadSize::MOST);
        for _ in 0..20 {
            size.came(10);
        }
        assert_eq!(size.bytes(), ReadSize::LEAST);
    }
}
