//! The bound on the memory, in bytes, that all PHP connections take together: for calls that are not complete and for answers
//! that are not read. A peer that knows the secret may send and ask much, but many such peers must not take all memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::BytesMut;
use gateway_wire::bridge::frame::MAX_CALL;
use hashbrown::HashMap;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::system::memory_reserve::{self, NoMemory};

/// Bytes up to which a connection's memory is not counted, as ordinary use takes that much.
const SMALL: usize = 64 << 10;
/// Bytes that an element of a call's list takes in memory: the element itself, a copy of its name, and its answer.
const ELEMENT: usize = 128;
/// Bytes of one unit of [`MemoryBudget::work`].
const UNIT: usize = 1 << 10;

/// The memory budget of all register ports together.
pub struct MemoryBudget {
    /// The bound in bytes.
    limit: AtomicUsize,
    state: Mutex<State>,
    /// The memory for large calls while they are carried out; further large calls wait for it.
    work: Semaphore,
    /// The number of units in `work`; a single call never waits for more.
    units: u32,
}

#[derive(Default)]
struct State {
    /// The bytes of all counted connections together.
    total: usize,
    next: u64,
    /// The counted connections, by ids that are never used again.
    holders: HashMap<u64, Holder>,
}

struct Holder {
    bytes: usize,
    /// The time when its number of bytes was last set.
    since: Instant,
    /// A notification that the connection has to close, as others need its memory.
    revoked: Arc<Notify>,
}

/// The bytes of one connection in the memory budget.
pub(in crate::php) struct Held {
    /// The budget in which the connection counts.
    budget: Arc<MemoryBudget>,
    /// The connection's id in the budget and its revocation, while it takes more than `SMALL` bytes.
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

    /// Sets the bound in bytes, for memory that is taken from now on.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(Self::least(limit), Ordering::Relaxed);
    }

    /// Raises a bound that is too low, so that two calls of the longest kind always have room.
    fn least(limit: usize) -> usize {
        limit.max(2 * MAX_CALL)
    }

    pub(super) fn held(self: &Arc<Self>) -> Held {
        Held { budget: Arc::clone(self), counted: None }
    }

    /// Waits until there is memory to carry out a call of `bytes` with so many list elements. Small calls never wait.
    pub(super) async fn room_for(
        &self,
        bytes: usize,
        elements: impl FnOnce() -> usize,
    ) -> Option<SemaphorePermit<'_>> {
        if bytes <= SMALL {
            return None;
        }
        let cost = bytes.saturating_add(elements().saturating_mul(ELEMENT)) / UNIT;
        // The semaphore is never closed, so this gives a permit.
        self.work.acquire_many(u32::try_from(cost).unwrap_or(u32::MAX).min(self.units)).await.ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn set(&mut self, id: u64, bytes: usize, now: Instant) {
        // A connection that was revoked is not counted any more.
        let Some(holder) = self.holders.get_mut(&id) else { return };
        self.total = self.total - holder.bytes + bytes;
        (holder.bytes, holder.since) = (bytes, now);
    }

    fn remove(&mut self, id: u64) -> Option<Holder> {
        let holder = self.holders.remove(&id)?;
        self.total -= holder.bytes;
        Some(holder)
    }

    /// Revokes the connections with the largest product of bytes and time, until the rest fits into `limit`. A single connection
    /// may always take what its own limits allow.
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
    /// Sets the number of bytes that the connection takes now.
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

    /// True when the connection takes so much that it counts in the budget.
    pub(super) fn is_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// Gives the future's output, unless the connection is revoked because others need its memory.
    pub(super) async fn unless_revoked<T>(&self, future: impl Future<Output = T>) -> Result<T, Revoked> {
        let Some((_, revoked)) = &self.counted else { return Ok(future.await) };
        tokio::select! {
            biased;
            // This is polled first, as a peer that sends without end would keep the other future ready.
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

/// Checks that there is memory to read more of an unfinished call. Small calls are always allowed. A full buffer is copied to one
/// of twice its size, and both exist for a moment.
pub(super) fn may_grow(input: &BytesMut) -> Result<(), NoMemory> {
    let is_full = input.capacity() - input.len() < ReadSize::MOST;
    if input.len() > SMALL && is_full && !memory_reserve::has_room(2 * input.capacity()) {
        return Err(NoMemory);
    }
    Ok(())
}

/// Checks that there is memory to carry out a call of `bytes`: for its text in all the forms in which it may have to be sent, and
/// for the elements of its list.
pub(super) fn may_carry_out(bytes: usize, elements: impl FnOnce() -> usize) -> Result<(), NoMemory> {
    const FORMS: usize = 4;
    let is_refused = bytes > SMALL
        && !memory_reserve::has_room(
            bytes.saturating_mul(FORMS).saturating_add(elements().saturating_mul(ELEMENT)),
        );
    if is_refused { Err(NoMemory) } else { Ok(()) }
}

/// The number of bytes for which a read has room. It follows what the peer sends: connections that send little, as most do, take
/// little memory even in thousands. Buffers grow with the bytes that arrive, never by a length that a peer only claims.
pub(super) struct ReadSize(usize);

impl ReadSize {
    /// The size for a peer that has not logged in.
    pub(super) const STRANGER: Self = Self(512);
    /// The smallest size for a peer that has logged in.
    const LEAST: usize = 2 << 10;
    /// The largest size for a peer that sends much.
    pub(super) const MOST: usize = 64 << 10;

    pub(super) fn bytes(&self) -> usize {
        self.0
    }

    /// Raises the size to that of ordinary use, once the peer has logged in.
    pub(super) fn trust(&mut self) {
        self.0 = self.0.max(Self::LEAST);
    }

    /// Adapts the size to a read of `bytes`. The size for a peer that has not logged in does not grow.
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
        // A connection that was revoked counts no more, whatever it sets.
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
