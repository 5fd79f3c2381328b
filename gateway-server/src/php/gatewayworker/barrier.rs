//! A barrier between a worker's orders and its queries: a query sees all orders that the worker sent before, though it orders
//! over one connection and asks over another.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

/// A request to carry out all orders that have arrived so far. It is answered once that is done.
pub(super) type BarrierRequest = oneshot::Sender<()>;

/// Number of requests that may wait for one worker's connection.
const WAITING_REQUESTS: usize = 64;

/// The connections over which workers send orders, with the machine that each comes from. `None` is the unix socket.
#[derive(Default)]
pub(super) struct Barrier(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    workers: BTreeMap<u64, (Option<IpAddr>, mpsc::Sender<BarrierRequest>)>,
}

/// A worker's connection in the barrier, which is removed when this is dropped.
pub(super) struct Entry<'a> {
    barrier: &'a Barrier,
    id: u64,
    pub(super) requests: mpsc::Receiver<BarrierRequest>,
}

impl Barrier {
    pub(super) fn enter(&self, machine: Option<IpAddr>) -> Entry<'_> {
        let (sender, requests) = mpsc::channel(WAITING_REQUESTS);
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.workers.insert(id, (machine, sender));
        Entry { barrier: self, id, requests }
    }

    /// Waits until the orders that the workers of a machine have sent so far have taken effect.
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
            let (request, answer) = oneshot::channel();
            // A worker whose connection has just ended has no more orders to wait for.
            if worker.send(request).await.is_ok() {
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
