//! Slots for connections. When all are taken, a connection that has not proved anything yet loses its slot to a new one, so that
//! peers that only hold slots keep nobody out.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tokio::sync::Notify;

/// How often a task that waits for a slot looks whether a holder may be evicted by now.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How many times this server has to serve a connection until that can have proved something.
const TURNS: u32 = 4;

/// The slots of one port. `K` is the key by which the connections of one peer are counted together.
#[derive(Debug)]
pub struct Permits<K> {
    /// The number of slots.
    most: usize,
    /// The number of unproven connections that one key may have.
    share: usize,
    /// How long an unproven connection keeps its slot, whoever wants it.
    patience: Duration,
    state: Mutex<State<K>>,
    /// Wakes a task that waits for a slot.
    freed: Notify,
}

/// The state of all slots, behind one lock.
#[derive(Debug)]
struct State<K> {
    /// The number of slots that are taken.
    held: usize,
    next: u64,
    /// The connections that have proved nothing yet, by the order in which they came.
    unproven: BTreeMap<u64, Unproven<K>>,
    /// The same connections by their key. `None` is for those that have no share, as they come from a proxy that speaks for many
    /// peers.
    by_key: HashMap<Option<K>, BTreeSet<u64>>,
    /// How long the connection that was served last had waited for this server. The time to prove something is longer by a
    /// multiple of it, so that a server that is late itself does not take its peers for late.
    lag: Duration,
}

/// A connection that has proved nothing yet.
#[derive(Debug)]
struct Unproven<K> {
    key: Option<K>,
    /// When the connection came, or when its proof ended.
    since: Instant,
    /// Wakes the task of the connection when it loses its slot.
    eviction: Arc<Notify>,
}

/// A slot, which is freed when this is dropped.
pub struct Permit<K: Eq + Hash + Copy> {
    permits: Arc<Permits<K>>,
    came: Instant,
    eviction: Arc<Notify>,
    standing: Mutex<Standing<K>>,
    /// Saves connections that are being served the look whether they are evicted.
    is_proven: AtomicBool,
}

/// Whether a connection has proved something.
enum Standing<K> {
    Unproven(u64),
    /// The key with which the connection is counted when it has to prove itself again.
    Proven(Option<K>),
}

impl<K: Eq + Hash + Copy> Permits<K> {
    /// Makes at least one slot, and a share of at least one.
    pub fn new(most: usize, share: usize, patience: Duration) -> Arc<Self> {
        let state = State {
            held: 0,
            next: 0,
            unproven: BTreeMap::new(),
            by_key: HashMap::new(),
            lag: Duration::ZERO,
        };
        Arc::new(Self {
            most: most.max(1),
            share: share.max(1),
            patience,
            state: Mutex::new(state),
            freed: Notify::new(),
        })
    }

    /// The number of slots.
    pub fn most(&self) -> usize {
        self.most
    }

    /// The number of unproven connections that one key may have.
    pub fn share(&self) -> usize {
        self.share
    }

    /// Whether a new connection has to wait for a slot.
    pub fn is_full(&self) -> bool {
        let state = self.state();
        state.held >= self.most && self.victim(&state, Instant::now()).is_none()
    }

    /// Waits until a new connection can have a slot. Others may take the slot before the caller does.
    pub async fn room(&self) {
        while self.is_full() {
            let _ = tokio::time::timeout(LOOK_EVERY, self.freed.notified()).await;
        }
    }

    /// Takes a slot, if necessary that of another connection. Gives `None` if the key's share is used up.
    pub fn enter(self: &Arc<Self>, key: Option<K>) -> Option<Permit<K>> {
        let now = Instant::now();
        let mut state = self.state();
        if !self.is_within_share(&mut state, key, now) {
            return None;
        }
        if state.held >= self.most
            && let Some(victim) = self.victim(&state, now)
        {
            state.evict(victim);
        }
        state.held += 1;
        let eviction = Arc::new(Notify::new());
        let id = state.add(key, now, &eviction);
        drop(state);
        let standing = Mutex::new(Standing::Unproven(id));
        let is_proven = AtomicBool::new(false);
        Some(Permit { permits: Arc::clone(self), came: now, eviction, standing, is_proven })
    }

    /// Whether the key's share has room. If the share is full, the key's oldest connection makes room if its time is over.
    fn is_within_share(&self, state: &mut State<K>, key: Option<K>, now: Instant) -> bool {
        let Some(own) = state.by_key.get(&key).filter(|own| key.is_some() && own.len() >= self.share) else {
            return true;
        };
        let oldest = own.first().copied().filter(|id| self.has_stood_still(state, *id, now));
        let Some(oldest) = oldest else { return false };
        state.evict(oldest);
        true
    }

    /// The connection to evict: the oldest one of the key that has most, or else the oldest of all, if its time is over.
    fn victim(&self, state: &State<K>, now: Instant) -> Option<u64> {
        let most = state.by_key.values().max_by_key(|own| own.len()).and_then(|own| own.first());
        let oldest = state.unproven.keys().next();
        [most, oldest].into_iter().flatten().copied().find(|id| self.has_stood_still(state, *id, now))
    }

    fn has_stood_still(&self, state: &State<K>, id: u64, now: Instant) -> bool {
        let patience =
            if self.patience.is_zero() { self.patience } else { self.patience + state.lag * TURNS };
        let age = state.unproven.get(&id).map(|one| now.saturating_duration_since(one.since));
        age.is_some_and(|age| age >= patience)
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Copy> State<K> {
    fn add(&mut self, key: Option<K>, since: Instant, eviction: &Arc<Notify>) -> u64 {
        let id = self.next;
        self.next += 1;
        self.unproven.insert(id, Unproven { key, since, eviction: Arc::clone(eviction) });
        self.by_key.entry(key).or_default().insert(id);
        id
    }

    /// Removes an unproven connection. Gives `None` if it was evicted before.
    fn remove(&mut self, id: u64) -> Option<Unproven<K>> {
        let one = self.unproven.remove(&id)?;
        if let Some(own) = self.by_key.get_mut(&one.key) {
            own.remove(&id);
            if own.is_empty() {
                self.by_key.remove(&one.key);
            }
        }
        // The map gives memory back after a peak.
        if self.by_key.len() < self.by_key.capacity() / 8 {
            self.by_key.shrink_to_fit();
        }
        Some(one)
    }

    fn evict(&mut self, id: u64) {
        if let Some(one) = self.remove(id) {
            self.held -= 1;
            one.eviction.notify_one();
        }
    }
}

impl<K: Eq + Hash + Copy> Permit<K> {
    /// Says that the server has begun to serve the connection, which shows how late the server is.
    pub fn begin(&self) {
        self.permits.state().lag = self.came.elapsed();
    }

    /// Makes the slot the connection's own, as it has proved something. Gives false if it has been evicted already.
    pub fn prove(&self) -> bool {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let Standing::Unproven(id) = *standing else { return true };
        let removed = self.permits.state().remove(id);
        let Some(one) = removed else { return false };
        *standing = Standing::Proven(one.key);
        self.is_proven.store(true, Ordering::Relaxed);
        true
    }

    /// Ends what the connection has proved: from now on it counts as one that has just come.
    pub fn doubt(&self) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Standing::Proven(key) = *standing {
            let id = self.permits.state().add(key, Instant::now(), &self.eviction);
            *standing = Standing::Unproven(id);
            self.is_proven.store(false, Ordering::Relaxed);
        }
    }

    /// Counts the connection with a key that is known only now. Gives false if the key's share is used up.
    pub fn identify(&self, key: Option<K>) -> bool {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let Standing::Unproven(id) = &mut *standing else { return true };
        let mut state = self.permits.state();
        let since = match state.unproven.get(id) {
            Some(one) if one.key != key => one.since,
            // The key is the same, or the connection has been evicted.
            _ => return true,
        };
        if !self.permits.is_within_share(&mut state, key, Instant::now()) {
            return false;
        }
        // The connection keeps its age, but comes last among those of the same age.
        state.remove(*id);
        *id = state.add(key, since, &self.eviction);
        true
    }

    /// The number of unproven connections that one key may have.
    pub fn share(&self) -> usize {
        self.permits.share
    }

    /// Waits until the connection is evicted. The task that calls [`Permit::doubt`] has to poll this again afterwards, as nothing
    /// wakes it.
    pub async fn evicted(&self) {
        let mut evicted = pin!(self.eviction.notified());
        let poll = std::future::poll_fn(|context| {
            if self.is_proven.load(Ordering::Relaxed) {
                Poll::Pending
            } else {
                evicted.as_mut().poll(context)
            }
        });
        poll.await;
    }
}

impl<K: Eq + Hash + Copy> Drop for Permit<K> {
    fn drop(&mut self) {
        let standing = self.standing.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.permits.state();
        let has_place = match standing {
            Standing::Unproven(id) => state.remove(*id).is_some(),
            Standing::Proven(_) => true,
        };
        state.held -= usize::from(has_place);
        drop(state);
        self.permits.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    fn is_evicted(permit: &Permit<u8>) -> bool {
        permit.evicted().now_or_never().is_some()
    }

    #[test]
    fn the_oldest_of_those_who_hold_most_goes() {
        let permits = Permits::new(4, 4, AT_ONCE);
        let other = permits.enter(Some(2)).unwrap();
        let many: Vec<_> = (0..3).map(|_| permits.enter(Some(1)).unwrap()).collect();
        assert!(!permits.is_full());
        let latest = permits.enter(Some(3)).unwrap();
        assert_eq!(many.iter().map(is_evicted).collect::<Vec<_>>(), [true, false, false]);
        assert!(!is_evicted(&other) && !is_evicted(&latest));
        // A connection that was evicted has no slot to free.
        drop(many);
        assert_eq!(permits.state().held, 2);
        drop((other, latest));
        let state = permits.state();
        assert!(state.held == 0 && state.unproven.is_empty() && state.by_key.is_empty());
    }

    #[tokio::test]
    async fn who_has_proved_something_stays() {
        let permits = Permits::new(2, 2, AT_ONCE);
        let (one, two) = (permits.enter(None).unwrap(), permits.enter(Some(1)).unwrap());
        assert!(one.prove() && two.prove() && one.prove());
        assert!(permits.is_full() && permits.room().now_or_never().is_none());
        two.doubt();
        permits.room().await;
        let three = permits.enter(Some(2)).unwrap();
        assert!(is_evicted(&two) && !two.prove() && !is_evicted(&one));
        assert!(three.prove() && permits.is_full());
        drop(one);
        permits.room().await;
    }

    #[test]
    fn an_address_has_its_share() {
        let permits = Permits::new(10, 2, Duration::from_secs(3600));
        let own: Vec<_> = (0..2).map(|_| permits.enter(Some(1)).unwrap()).collect();
        assert!(permits.enter(Some(1)).is_none());
        // A proxy's connections have no share until it is known for whom they are.
        let others: Vec<_> = (0..4).map(|_| permits.enter(None).unwrap()).collect();
        assert!(!others[0].identify(Some(1)) && others[1].identify(Some(2)) && others[2].identify(Some(2)));
        assert!(!others[3].identify(Some(2)));
        assert!(own[0].prove() && others[0].identify(Some(1)));
        let at_once = Permits::new(10, 2, AT_ONCE);
        let own: Vec<_> = (0..3).map(|_| at_once.enter(Some(1)).unwrap()).collect();
        assert_eq!(own.iter().map(is_evicted).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn a_server_that_is_late_itself_has_more_patience() {
        let permits = Permits::new(1, 1, Duration::from_millis(1));
        let one = permits.enter(Some(1)).unwrap();
        permits.state().lag = Duration::from_secs(60);
        std::thread::sleep(Duration::from_millis(2));
        assert!(permits.is_full());
        permits.state().lag = Duration::ZERO;
        assert!(!permits.is_full());
        drop(one);
    }
}
