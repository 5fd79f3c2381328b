//! Chooses the worker of each client, and a successor for each worker that goes.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{info, warn};

use super::event::Event;
use super::worker_queue::{Destination, Ending, WorkerQueue};
use crate::config::{EventHandlers, Routing, Settings};
use crate::shard::Welcome;

/// The workers that serve, and how clients are assigned to them. All shards and all connections of workers share it.
pub struct Router {
    mode: EventHandlers,
    policy: Routing,
    /// How often a worker was drawn at random.
    draws: AtomicUsize,
    /// Has a random key, so that nobody outside can choose addresses that all go to one worker.
    hasher: RandomState,
    /// Bytes of events that may wait for one worker. The queues of all workers read the same value.
    limit: Arc<AtomicUsize>,
    /// Whether a worker serves, without taking the lock.
    pub(super) has_workers: AtomicBool,
    state: Mutex<State>,
}

/// How a worker is doing.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    pub name: String,
    pub clients: usize,
    /// How many events wait for the worker.
    pub events: usize,
    /// Bytes of these events, and of those that are on their way to the worker.
    pub bytes: usize,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) workers: Vec<Arc<WorkerQueue>>,
    /// The last worker that went, if no other has its clients yet.
    pub(super) unassigned: Option<Arc<WorkerQueue>>,
    /// Workers that come from another process, until all of it has come.
    pub(super) arriving: Vec<Arc<WorkerQueue>>,
}

impl Router {
    pub fn new(settings: &Settings) -> Self {
        Self {
            mode: settings.events,
            policy: settings.router,
            draws: AtomicUsize::new(0),
            hasher: RandomState::new(),
            limit: Arc::new(settings.worker_buffer_bytes.into()),
            has_workers: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Whether the address of a client matters; to learn it costs a system call.
    pub(super) fn is_by_address(&self) -> bool {
        self.policy == Routing::ClientAddress
    }

    /// Sets how many bytes may wait for each worker. Clients that wait for room are not told.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// The bound for each worker, which its queue reads.
    pub(super) fn limit(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.limit)
    }

    pub fn mode(&self) -> EventHandlers {
        self.mode
    }

    /// Whether a worker serves.
    pub fn has_workers(&self) -> bool {
        self.has_workers.load(Ordering::Relaxed)
    }

    /// Whether clients may move to this node and away from it: all that hear of clients have announced that they take moves. A
    /// worker that has gone counts until it is given up, as its successor gets the events that it left.
    pub(super) fn takes_moves(&self) -> bool {
        if self.mode == EventHandlers::BuiltIn {
            return true;
        }
        let state = self.state();
        let mut all = state.workers.iter().chain(&state.unassigned).peekable();
        // Without a worker nobody takes a client where only workers may serve.
        (self.mode == EventHandlers::Auto || all.peek().is_some()) && all.all(|worker| worker.takes_moves)
    }

    /// Chooses a worker for a client at this address that has had none.
    pub(super) fn choose(&self, client: IpAddr) -> Option<Arc<WorkerQueue>> {
        if !self.has_workers() {
            return None;
        }
        self.pick(self.state().workers.iter(), client)
    }

    /// Chooses a worker for a client at this address whose worker has gone: another, or else the last that went, in whose queue
    /// events wait for the next worker to come.
    pub(super) fn choose_next(&self, client: IpAddr) -> Option<Arc<WorkerQueue>> {
        let state = self.state();
        self.pick(state.workers.iter(), client).or_else(|| state.unassigned.clone())
    }

    fn pick<'a>(
        &self,
        workers: impl Iterator<Item = &'a Arc<WorkerQueue>>,
        client: IpAddr,
    ) -> Option<Arc<WorkerQueue>> {
        match self.policy {
            Routing::LeastClients => State::least(workers),
            // Each worker draws a number for each address, and the highest has it: when a worker goes or comes, no other's
            // clients move. A process that takes another's place under its name draws the same.
            Routing::ClientAddress => {
                workers.max_by_key(|worker| self.hasher.hash_one((client, worker.slot()))).cloned()
            }
            Routing::Random => {
                let all: Vec<_> = workers.collect();
                let drawn = self.hasher.hash_one(self.draws.fetch_add(1, Ordering::Relaxed));
                let at = drawn.checked_rem(all.len() as u64)?;
                all.get(usize::try_from(at).ok()?).map(|worker| Arc::clone(worker))
            }
        }
    }

    /// Chooses a worker for a new client. While only workers may serve, one that has just gone stands in for its successor.
    pub(super) fn choose_for_new(&self, client: IpAddr) -> Result<Arc<WorkerQueue>, Welcome> {
        match self.mode {
            EventHandlers::BuiltIn => Err(Welcome::BuiltIn),
            EventHandlers::Auto if !self.has_workers() => Err(Welcome::BuiltIn),
            EventHandlers::Auto | EventHandlers::Workers => {
                let state = self.state();
                if self.mode == EventHandlers::Auto && state.workers.is_empty() {
                    // The last worker has gone just now.
                    return Err(Welcome::BuiltIn);
                }
                let stand_in = state.unassigned.iter().filter(|_| self.mode == EventHandlers::Workers);
                let all = state.workers.iter().chain(stand_in);
                // A full queue takes no new clients, as it takes no more messages of known ones.
                let chosen =
                    self.pick(all.filter(|worker| matches!(worker.destination(), Destination::Here)), client);
                chosen.ok_or(Welcome::Refused)
            }
        }
    }

    /// Whether a client that no worker knows yet may say something. If not, [`WorkerQueue::done`] says later that there is room.
    pub(super) fn has_room(&self) -> bool {
        self.mode == EventHandlers::BuiltIn
            || !self.has_workers()
            || self.state().workers.iter().all(|worker| matches!(worker.destination(), Destination::Here))
    }

    /// Registers a process that handles events, and that has announced moves or not. It succeeds a worker of the same name, and one
    /// that was the last when it went.
    pub fn join(&self, name: String, takes_moves: bool) -> Arc<WorkerQueue> {
        let mut state = self.state();
        let same = state.workers.iter().position(|other| other.name == name);
        let before = same.map(|at| state.workers.remove(at));
        let predecessor = before.as_ref().map(Arc::downgrade).unwrap_or_default();
        let worker = Arc::new(WorkerQueue::new(name, takes_moves, Arc::clone(&self.limit), predecessor));
        if let Some(before) = before {
            warn!(
                worker = worker.name,
                "a worker of this name is there already; the new one takes its place"
            );
            before.give_way(&worker);
        }
        if let Some(unassigned) = state.unassigned.take() {
            unassigned.end(Vec::new(), Some(&worker));
        }
        state.workers.push(Arc::clone(&worker));
        self.has_workers.store(true, Ordering::Relaxed);
        info!(worker = worker.name, takes_moves, workers = state.workers.len(), "a worker joined");
        worker
    }

    /// The worker's process has gone and has not got `unsent`. Gives whether nobody succeeds the worker yet, so that the caller
    /// has to call [`Router::give_up`] some time later.
    #[must_use]
    pub fn leave(&self, worker: &Arc<WorkerQueue>, unsent: Vec<Event>) -> bool {
        let mut state = self.state();
        state.workers.retain(|other| !Arc::ptr_eq(other, worker));
        let is_unassigned = match worker.end(unsent, State::least(state.workers.iter()).as_ref()) {
            Ending::Assigned => false,
            Ending::Unassigned => true,
            Ending::Returned(events) => !state.assign_returned(worker, events),
        };
        info!(worker = worker.name, workers = state.workers.len(), "a worker has gone");
        self.has_workers.store(!state.workers.is_empty(), Ordering::Relaxed);
        if is_unassigned {
            state.unassigned = Some(Arc::clone(worker));
        }
        is_unassigned
    }

    /// Drops what a worker left, unless another has come in time.
    pub fn give_up(&self, worker: &Arc<WorkerQueue>) {
        let mut state = self.state();
        if state.unassigned.take_if(|unassigned| Arc::ptr_eq(unassigned, worker)).is_some() {
            let lost = worker.give_up();
            warn!(
                worker = worker.name,
                lost, "no worker came after this one: the events that waited are lost"
            );
        }
    }

    /// Waits until every worker has got what waits for it.
    pub async fn emptied(&self) {
        let workers = self.state().workers.clone();
        for worker in workers {
            worker.emptied().await;
        }
    }

    /// Says how each worker that serves is doing.
    pub fn report(&self) -> Vec<WorkerReport> {
        let workers = self.state().workers.clone();
        let report = |worker: &Arc<WorkerQueue>| {
            let (events, bytes) = worker.backlog();
            let clients = worker.clients.load(Ordering::Relaxed);
            WorkerReport { name: worker.name.clone(), clients, events, bytes }
        };
        workers.iter().map(report).collect()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Assigns events that a worker gives back after another has taken its place: to the last of its successors, to any other
    /// worker, or to one that waits for a successor itself. If there is none, the worker keeps them, and this gives false.
    fn assign_returned(&self, worker: &Arc<WorkerQueue>, mut events: Vec<Event>) -> bool {
        let successor = std::iter::successors(worker.successor(), |successor| successor.successor()).last();
        let others = [successor, Self::least(self.workers.iter()), self.unassigned.clone()];
        for other in others.into_iter().flatten() {
            match other.take_back(events) {
                Ok(()) => return true,
                Err(back) => events = back,
            }
        }
        worker.keep(events);
        false
    }

    fn least<'a>(workers: impl Iterator<Item = &'a Arc<WorkerQueue>>) -> Option<Arc<WorkerQueue>> {
        workers.min_by_key(|worker| worker.clients.load(Ordering::Relaxed)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::super::event::EventKind;
    use super::*;

    fn event(connection_id: u32) -> Event {
        Event::example(connection_id, EventKind::Close)
    }

    fn push(worker: &WorkerQueue, connection_ids: std::ops::Range<u32>) {
        for connection_id in connection_ids {
            assert!(worker.push(event(connection_id)).is_none());
        }
    }

    fn batch_of(worker: &WorkerQueue) -> Vec<Event> {
        worker.next(usize::MAX).now_or_never().flatten().map_or(Vec::new(), |batch| batch.events)
    }

    fn numbers_of(worker: &WorkerQueue) -> Vec<u32> {
        batch_of(worker).iter().map(|event| event.connection_id).collect()
    }

    #[test]
    fn clients_of_an_address_go_to_one_worker_and_move_only_when_it_goes() {
        let router = Router::new(&Settings { router: Routing::ClientAddress, ..Settings::default() });
        let workers: Vec<_> = (0..4).map(|number| router.join(format!("w:{number}:77@host"), true)).collect();
        let addresses: Vec<IpAddr> = (0..=255).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        let chosen = || addresses.iter().map(|ip| router.choose(*ip).unwrap().name.clone()).collect();
        let before: Vec<String> = chosen();
        assert_eq!(before, chosen() as Vec<String>);
        for worker in &workers {
            assert!(before.contains(&worker.name), "{} has none of 256 addresses", worker.name);
        }
        let _ = router.leave(&workers[0], Vec::new());
        for (before, after) in before.iter().zip(chosen() as Vec<String>) {
            assert!(*before == after || *before == workers[0].name);
        }
        // The next process in that place has the same clients.
        router.join("w:0:78@host".to_owned(), true);
        for (before, after) in before.iter().zip(chosen() as Vec<String>) {
            assert_eq!(before.replace(":77@", ""), after.replace(":77@", "").replace(":78@", ""));
        }
    }

    #[test]
    fn at_random_every_worker_gets_clients() {
        let router = Router::new(&Settings { router: Routing::Random, ..Settings::default() });
        let client = IpAddr::from([192, 0, 2, 1]);
        assert!(router.choose(client).is_none());
        let workers: Vec<_> = (0..4).map(|number| router.join(format!("w:{number}"), true)).collect();
        let chosen: Vec<_> = (0..512).map(|_| router.choose(client).unwrap().name.clone()).collect();
        assert!(workers.iter().all(|worker| chosen.contains(&worker.name)));
    }

    #[test]
    fn clients_move_where_nobody_hears_of_them_or_all_workers_have_announced_it() {
        let router = |events| Router::new(&Settings { events, ..Settings::default() });
        assert!(router(EventHandlers::BuiltIn).takes_moves());
        assert!(router(EventHandlers::Auto).takes_moves());
        assert!(!router(EventHandlers::Workers).takes_moves(), "a client that came here would be refused");
        // With the built-in mode workers hear of nothing.
        let built_in = router(EventHandlers::BuiltIn);
        built_in.join("w".to_owned(), false);
        assert!(built_in.takes_moves());
        for (mode, without) in [(EventHandlers::Auto, true), (EventHandlers::Workers, false)] {
            let router = router(mode);
            let new = router.join("new".to_owned(), true);
            assert!(router.takes_moves());
            let old = router.join("old".to_owned(), false);
            assert!(!router.takes_moves());
            assert!(!router.leave(&new, Vec::new()) && !router.takes_moves());
            // What the last worker left may wait for it: the next one hears of the same clients.
            assert!(router.leave(&old, Vec::new()) && !router.takes_moves());
            router.give_up(&old);
            assert_eq!(router.takes_moves(), without);
            // Another process takes the place of one that has not announced moves.
            let before = router.join("w".to_owned(), false);
            let after = router.join("w".to_owned(), true);
            assert!(router.takes_moves());
            assert!(!router.leave(&before, Vec::new()) && router.leave(&after, Vec::new()));
            assert!(router.takes_moves(), "the one that has just gone had announced it");
        }
    }

    #[test]
    fn clients_of_a_worker_that_went_first_wait_with_the_last() {
        let router = Router::new(&Settings::default());
        let [first, last] = ["first", "last"].map(|name| router.join(name.to_owned(), true));
        let client = IpAddr::from([192, 0, 2, 1]);
        assert!(!router.leave(&first, Vec::new()));
        assert!(matches!(first.destination(), Destination::Anywhere));
        assert!(router.leave(&last, Vec::new()));
        assert!(router.choose(client).is_none(), "nobody new is introduced to it");
        push(&router.choose_next(client).unwrap(), 1..3);
        let next = router.join("next".to_owned(), true);
        assert_eq!(numbers_of(&next), [1, 2]);
        assert!(Arc::ptr_eq(&router.choose_next(client).unwrap(), &next));
    }

    #[tokio::test]
    async fn what_is_on_its_way_to_a_worker_goes_to_the_one_that_takes_its_place() {
        let router = Router::new(&Settings::default());
        let join = |name: &str| router.join(name.to_owned(), true);
        let old = join("w");
        push(&old, 1..4);
        let on_its_way = batch_of(&old);
        push(&old, 4..5);
        let new = join("w");
        assert!(old.replaced().now_or_never().is_some());
        assert!(new.handed_over().now_or_never().is_none());
        assert!(!router.leave(&old, on_its_way));
        assert!(new.handed_over().now_or_never().is_some());
        assert_eq!(numbers_of(&new), [1, 2, 3, 4]);
        // What clients that were with the old one say belongs to the new one.
        assert!(
            matches!(old.destination(), Destination::Successor(successor) if Arc::ptr_eq(&successor, &new))
        );
    }

    #[test]
    fn what_is_given_back_finds_the_last_of_those_who_followed() {
        let router = Router::new(&Settings::default());
        let join = |name: &str| router.join(name.to_owned(), true);
        let first = join("w");
        push(&first, 1..3);
        let of_first = batch_of(&first);
        let second = join("w");
        push(&second, 3..5);
        let of_second = batch_of(&second);
        let third = join("w");
        push(&third, 5..6);
        assert!(!router.leave(&second, of_second));
        assert!(!router.leave(&first, of_first));
        assert_eq!(numbers_of(&third), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_is_given_back_after_all_who_followed_finds_another() {
        let router = Router::new(&Settings::default());
        let join = |name: &str| router.join(name.to_owned(), true);
        let replaced = || {
            let old = join("w");
            push(&old, 1..3);
            let on_its_way = batch_of(&old);
            (old, on_its_way, join("w"))
        };
        // The events go to another worker that serves.
        let (old, on_its_way, successor) = replaced();
        let other = join("other");
        assert!(!router.leave(&successor, Vec::new()) && !router.leave(&old, on_its_way));
        assert_eq!(numbers_of(&other), [1, 2]);
        assert!(router.leave(&other, Vec::new()));
        router.give_up(&other);
        // The events wait with a worker that has gone.
        let (old, on_its_way, successor) = replaced();
        assert!(router.leave(&successor, Vec::new()) && !router.leave(&old, on_its_way));
        let next = join("next");
        assert_eq!(numbers_of(&next), [1, 2]);
        assert!(router.leave(&next, Vec::new()));
        router.give_up(&next);
        // No worker is left, so that the events wait for the next one.
        let (old, on_its_way, successor) = replaced();
        assert!(router.leave(&successor, Vec::new()));
        router.give_up(&successor);
        assert!(router.leave(&old, on_its_way));
        assert_eq!(numbers_of(&join("last")), [1, 2]);
    }

    #[test]
    fn a_client_that_is_silent_for_very_many_workers_is_no_burden() {
        let router = Router::new(&Settings::default());
        let first = router.join("w".to_owned(), true);
        let mut worker = Arc::clone(&first);
        for _ in 0..20_000 {
            push(&worker, 1..2);
            // Something is on its way, so that each has the next one as its successor.
            batch_of(&worker);
            let next = router.join("w".to_owned(), true);
            assert!(!router.leave(&worker, Vec::new()));
            worker = next;
        }
        drop(worker);
        drop(router);
        drop(first);
    }

    #[test]
    fn nobody_is_refused_while_the_last_worker_goes() {
        let router = Router::new(&Settings::default());
        let is_over = AtomicBool::new(false);
        std::thread::scope(|threads| {
            let clients = threads.spawn(|| {
                let (mut served, mut greeted) = (0, 0);
                while !is_over.load(Ordering::Relaxed) {
                    match router.choose_for_new(IpAddr::from([192, 0, 2, 1])) {
                        Ok(_) => served += 1,
                        Err(Welcome::BuiltIn) => greeted += 1,
                        Err(other) => panic!("{other:?} after {served} and {greeted}"),
                    }
                }
            });
            for _ in 0..20_000 {
                let worker = router.join("w:0".to_owned(), true);
                let _ = router.leave(&worker, Vec::new());
            }
            is_over.store(true, Ordering::Relaxed);
            clients.join().unwrap();
        });
    }
}
