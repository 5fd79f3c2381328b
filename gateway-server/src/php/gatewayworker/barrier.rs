//! Questions see what their asker ordered before, though a worker orders over one connection and asks over another.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

/// Answered once all is done that had arrived when it was asked.
pub(super) type Wish = oneshot::Sender<()>;

/// Wishes that may wait for one worker.
const WISHES: usize = 64;

/// The connections over which workers order, by the machine that they come from.
#[derive(Default)]
pub(super) struct Barrier(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    workers: BTreeMap<u64, (Option<IpAddr>, mpsc::Sender<Wish>)>,
}

/// A worker's connection, as long as it lasts.
pub(super) struct Entry<'a> {
    barrier: &'a Barrier,
    id: u64,
    pub(super) wishes: mpsc::Receiver<Wish>,
}

impl Barrier {
    pub(super) fn enter(&self, machine: Option<IpAddr>) -> Entry<'_> {
        let (sender, wishes) = mpsc::channel(WISHES);
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.workers.insert(id, (machine, sender));
        Entry { barrier: self, id, wishes }
    }

    /// Waits until what workers of a machine have sent so far has taken effect.
    pub(super) async fn pass(&self, machine: Option<IpAddr>) {
        let workers: Vec<_> = self
            .state()
            .workers
            .values()
            .filter(|(other, _)| *other == machine)
            .map(|(_, worker)| worker.clone())
            .collect();
        let mut answers = Vec::with_capacity(workers.len());
        for worker in workers {
            let (wish, answer) = oneshot::channel();
            // One that has just gone has nothing more to order.
            if worker.send(wish).await.is_ok() {
                answers.push(answer);
            }
        }
        for answer in answers {
            let _ = answer.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.barrier.state().workers.remove(&self.id);
    }
}
