//! Which worker gets the next client.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{info, warn};

use super::event::Event;
use super::worker::{Ending, Place, Worker};
use crate::shard::Welcome;

/// Who handles events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The server; workers are told nothing.
    BuiltIn,
    /// Workers only; without one, nobody can connect.
    Workers,
    /// Workers, and the server as long as there is none.
    Auto,
}

pub struct Router {
    mode: Mode,
    /// Bytes that may wait for one worker, as the workers know too.
    limit: Arc<AtomicUsize>,
    /// Spares those who find nobody the lock.
    has_workers: AtomicBool,
    state: Mutex<State>,
}

/// How a worker is doing.
#[derive(Clone, Debug)]
pub struct Report {
    pub name: String,
    pub clients: usize,
    /// Those that wait for it.
    pub events: usize,
    /// Of the events, with those that it is getting.
    pub bytes: usize,
}

#[derive(Default)]
struct State {
    workers: Vec<Arc<Worker>>,
    /// The last one that went, if nobody has taken over yet.
    orphan: Option<Arc<Worker>>,
}

impl Router {
    pub fn new(mode: Mode, limit: usize) -> Self {
        Self {
            mode,
            limit: Arc::new(limit.into()),
            has_workers: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Those who wait for room are not told.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether a worker serves.
    pub fn has_workers(&self) -> bool {
        self.has_workers.load(Ordering::Relaxed)
    }

    /// The one with the fewest clients.
    pub(super) fn choose(&self) -> Option<Arc<Worker>> {
        if !self.has_workers() {
            return None;
        }
        State::least(self.state().workers.iter())
    }

    /// For a new client. While only workers may serve, one that has just gone stands in for the one that follows it.
    pub(super) fn choose_for_new(&self) -> Result<Arc<Worker>, Welcome> {
        match self.mode {
            Mode::BuiltIn => Err(Welcome::BuiltIn),
            Mode::Auto if !self.has_workers() => Err(Welcome::BuiltIn),
            Mode::Auto | Mode::Workers => {
                let state = self.state();
                if self.mode == Mode::Auto && state.workers.is_empty() {
                    // The last one has gone just now.
                    return Err(Welcome::BuiltIn);
                }
                let stand_in = state.orphan.iter().filter(|_| self.mode == Mode::Workers);
                let all = state.workers.iter().chain(stand_in);
                // There is no more room for those who come than for those who are here.
                let least = State::least(all.filter(|worker| matches!(worker.place(), Place::Here)));
                least.ok_or(Welcome::Refused)
            }
        }
    }

    /// Whether a client that no worker knows yet may say something. If not, somebody is woken when it may.
    pub(super) fn has_room(&self) -> bool {
        self.mode == Mode::BuiltIn
            || !self.has_workers()
            || self.state().workers.iter().all(|worker| matches!(worker.place(), Place::Here))
    }

    /// A process has come that handles events. It takes the place of one of the same name, and of one that went and left
    /// nobody.
    pub fn join(&self, name: String) -> Arc<Worker> {
        let worker = Arc::new(Worker::new(name, Arc::clone(&self.limit)));
        let mut state = self.state();
        if let Some(at) = state.workers.iter().position(|other| other.name == worker.name) {
            warn!(
                worker = worker.name,
                "a worker of this name is there already; the new one takes its place"
            );
            state.workers.remove(at).end(Vec::new(), Some(&worker));
        }
        if let Some(orphan) = state.orphan.take() {
            orphan.end(Vec::new(), Some(&worker));
        }
        state.workers.push(Arc::clone(&worker));
        self.has_workers.store(true, Ordering::Relaxed);
        info!(worker = worker.name, workers = state.workers.len(), "a worker joined");
        worker
    }

    /// Its process has gone and has not got `unsent`. Gives whether the worker is to be given up some time later.
    #[must_use]
    pub fn leave(&self, worker: &Arc<Worker>, unsent: Vec<Event>) -> bool {
        let mut state = self.state();
        state.workers.retain(|other| !Arc::ptr_eq(other, worker));
        let ending = worker.end(unsent, State::least(state.workers.iter()).as_ref());
        info!(worker = worker.name, workers = state.workers.len(), "a worker has gone");
        self.has_workers.store(!state.workers.is_empty(), Ordering::Relaxed);
        if ending == Ending::Orphaned {
            state.orphan = Some(Arc::clone(worker));
        }
        ending == Ending::Orphaned
    }

    /// No other has come in time.
    pub fn give_up(&self, worker: &Arc<Worker>) {
        let mut state = self.state();
        if state.orphan.take_if(|orphan| Arc::ptr_eq(orphan, worker)).is_some() {
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

    /// All that serve.
    pub fn report(&self) -> Vec<Report> {
        let workers = self.state().workers.clone();
        let report = |worker: &Arc<Worker>| {
            let (events, bytes) = worker.backlog();
            let clients = worker.clients.load(Ordering::Relaxed);
            Report { name: worker.name.clone(), clients, events, bytes }
        };
        workers.iter().map(report).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn least<'a>(workers: impl Iterator<Item = &'a Arc<Worker>>) -> Option<Arc<Worker>> {
        workers.min_by_key(|worker| worker.clients.load(Ordering::Relaxed)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_refused_while_the_last_worker_goes() {
        let router = Router::new(Mode::Auto, 1 << 20);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|threads| {
            let clients = threads.spawn(|| {
                let (mut served, mut greeted) = (0, 0);
                while !is_over.load(Ordering::Relaxed) {
                    match router.choose_for_new() {
                        Ok(_) => served += 1,
                        Err(Welcome::BuiltIn) => greeted += 1,
                        Err(other) => panic!("{other:?} after {served} and {greeted}"),
                    }
                }
            });
            for _ in 0..20_000 {
                let worker = router.join("w:0".to_owned());
                let _ = router.leave(&worker, Vec::new());
            }
            is_over.store(true, Ordering::Relaxed);
            clients.join().unwrap();
        });
    }
}
