//! The workers of a server process, and the clients of each, as they go on in another process.
//!
//! The shards' clients may come before the workers: a client names its worker, whose queue is made then and filled later.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::carried::{CarriedEvent, CarriedQueue, CarriedWorkers, MalformedEvent, events};
use super::router::Router;
use super::unassigned::give_up_later;
use super::worker_queue::{Destination, WorkerQueue};
use crate::hub::Hub;
use crate::system::ages::millis;
use crate::versioned::Form;

const FORM: Form = Form::new("what workers know of a client", 1);

/// What is known of a client that a worker has been told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CarriedAssignment {
    /// The client's worker. `None` stands for one that has gone, so that the client chooses anew with its next event.
    worker: Option<CarriedWorker>,
    pub(super) peer: SocketAddr,
}

/// The worker of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CarriedWorker {
    name: String,
    takes_moves: bool,
    /// The worker has gone, and its events wait for another.
    is_unassigned: bool,
}

impl CarriedAssignment {
    pub(super) fn of(worker: &Arc<WorkerQueue>, peer: SocketAddr) -> Self {
        let mut worker = Arc::clone(worker);
        let worker = loop {
            match worker.destination() {
                Destination::Here | Destination::Full => break Some(worker),
                Destination::Successor(successor) => worker = successor,
                Destination::Anywhere => break None,
            }
        };
        let worker = worker.map(|worker| CarriedWorker {
            name: worker.name.clone(),
            takes_moves: worker.takes_moves,
            is_unassigned: worker.is_unassigned(),
        });
        Self { worker, peer }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        FORM.write(self)
    }

    /// Reads what a server of the same version has written. Gives `None` for anything else.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        FORM.read(bytes).ok()
    }
}

impl Router {
    /// Writes the queues of all workers. It is called while the shards are frozen and no worker's connection takes anything, so that
    /// nothing is in between.
    pub fn carry(&self) -> CarriedWorkers {
        let state = self.state();
        let carried = |worker: &Arc<WorkerQueue>| {
            let (waiting, on_its_way) = worker.contents(|event| CarriedEvent::from(event));
            CarriedQueue {
                name: worker.name.clone(),
                takes_moves: worker.takes_moves,
                waiting,
                on_its_way: on_its_way as u64,
            }
        };
        CarriedWorkers {
            serving: state.workers.iter().map(carried).collect(),
            unassigned: state.unassigned.as_ref().map(|worker| {
                let patience = millis(worker.patience());
                (carried(worker), patience)
            }),
        }
    }

    /// Takes over the workers of another process, `since` which time they have waited.
    pub fn take_over(
        self: &Arc<Self>,
        carried: CarriedWorkers,
        since: Duration,
        hub: &Arc<Hub>,
    ) -> Result<(), MalformedEvent> {
        let fill = |queue: CarriedQueue, is_unassigned| {
            let worker = self.arriving(&queue.name, queue.takes_moves, is_unassigned);
            let on_its_way = usize::try_from(queue.on_its_way).unwrap_or(usize::MAX);
            events(queue.waiting).map(|waiting| worker.fill(waiting, on_its_way)).map(|()| worker)
        };
        let serving =
            carried.serving.into_iter().map(|queue| fill(queue, false)).collect::<Result<Vec<_>, _>>()?;
        let unassigned = match carried.unassigned {
            Some((queue, patience)) => {
                let worker = fill(queue, true)?;
                worker.wait_for_successor(Duration::from_millis(patience).saturating_sub(since));
                Some(worker)
            }
            None => None,
        };
        let mut state = self.state();
        state.arriving.clear();
        state.workers.extend(serving);
        self.has_workers.store(!state.workers.is_empty(), Ordering::Relaxed);
        state.unassigned.clone_from(&unassigned);
        drop(state);
        if let Some(worker) = unassigned {
            give_up_later(worker, self, hub);
        }
        Ok(())
    }

    /// The worker of a client that has come from another process.
    pub(super) fn worker_of(&self, carried: &CarriedAssignment) -> Arc<WorkerQueue> {
        match &carried.worker {
            Some(worker) => self.arriving(&worker.name, worker.takes_moves, worker.is_unassigned),
            None => {
                let gone = self.new_queue(String::new(), true);
                gone.wait_for_successor(Duration::ZERO);
                gone.give_up();
                gone
            }
        }
    }

    /// The worker of this name that serves, if one does.
    pub(super) fn serving(&self, name: &str) -> Option<Arc<WorkerQueue>> {
        self.state().workers.iter().find(|worker| worker.name == name).cloned()
    }

    /// The queue of a worker that comes from another process, which is made when it is asked for first.
    fn arriving(&self, name: &str, takes_moves: bool, is_unassigned: bool) -> Arc<WorkerQueue> {
        let mut state = self.state();
        let known = state
            .arriving
            .iter()
            .find(|worker| worker.name == name && worker.is_unassigned() == is_unassigned);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let worker = self.new_queue(name.to_owned(), takes_moves);
        if is_unassigned {
            // It waits for as long as it is said later.
            worker.wait_for_successor(Duration::MAX);
        }
        state.arriving.push(Arc::clone(&worker));
        worker
    }

    fn new_queue(&self, name: String, takes_moves: bool) -> Arc<WorkerQueue> {
        Arc::new(WorkerQueue::new(name, takes_moves, self.limit(), std::sync::Weak::new()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use bytes::Bytes;
    use futures_util::FutureExt as _;

    use super::super::event::{Event, EventKind};
    use super::super::forwarder::EventForwarders;
    use super::*;
    use crate::config::Settings;
    use crate::shard::EventSinks as _;
    use crate::shard::testing::with_client;

    /// What workers know of a client, as the first release of version 1 has written it.
    const GOLDEN: &[u8] = include_bytes!("golden/assignment_1.bin");

    fn assignment() -> CarriedAssignment {
        let worker = CarriedWorker { name: "w:0:7@host".to_owned(), takes_moves: true, is_unassigned: false };
        CarriedAssignment { worker: Some(worker), peer: "192.0.2.1:5".parse().unwrap() }
    }

    #[test]
    fn what_is_known_of_clients_is_read_in_every_released_version_and_nothing_else_is() {
        assert_eq!(assignment().to_bytes(), GOLDEN);
        assert_eq!(CarriedAssignment::from_bytes(GOLDEN), Some(assignment()));
        for length in 0..GOLDEN.len() {
            assert_eq!(CarriedAssignment::from_bytes(&GOLDEN[..length]), None);
        }
        assert_eq!(CarriedAssignment::from_bytes(&[&[2], &GOLDEN[1..]].concat()), None);
    }

    fn router() -> Arc<Router> {
        Router::new(&Settings::default()).into()
    }

    fn hub() -> Arc<Hub> {
        let settings = crate::shard::testing::settings();
        Arc::new(Hub::start(1, [0; 16], &settings, Box::new(crate::shard::BuiltInSink), None, None).unwrap())
    }

    fn told(worker: &WorkerQueue) -> Vec<(u32, EventKind)> {
        let batch = worker.next(usize::MAX).now_or_never().flatten();
        let events: Vec<Event> = batch.map_or(Vec::new(), |batch| batch.events);
        events.into_iter().map(|event| (event.connection_id, event.kind)).collect()
    }

    /// Takes everything of `old` over, the clients first.
    fn taken_over(
        old: &Arc<Router>,
        sink: &dyn crate::shard::EventSink,
        clients: &[u32],
    ) -> (Arc<Router>, Box<dyn crate::shard::EventSink>) {
        let new = router();
        let mut sink_there = EventForwarders(Arc::clone(&new)).sink();
        for client in clients {
            let exported = sink.export(*client).unwrap();
            with_client(*client, b"", |client| sink_there.restore(client, &exported));
        }
        new.take_over(old.carry(), Duration::ZERO, &hub()).unwrap();
        (new, sink_there)
    }

    #[tokio::test]
    async fn clients_stay_with_their_workers_and_events_with_their_order() {
        let old = router();
        let workers = ["one", "two"].map(|name| old.join(name.to_owned(), true));
        let mut sink = EventForwarders(Arc::clone(&old)).sink();
        for client in 1..5 {
            with_client(client, b"", |client| sink.connected(client, None));
        }
        let on_its_way = workers[0].next(1).now_or_never().flatten().unwrap();
        let before: Vec<_> = workers.iter().map(|worker| worker.clients.load(Ordering::Relaxed)).collect();
        let (new, mut sink) = taken_over(&old, &*sink, &[1, 2, 3, 4]);
        let there = ["one", "two"].map(|name| new.serving(name).unwrap());
        let after: Vec<_> = there.iter().map(|worker| worker.clients.load(Ordering::Relaxed)).collect();
        assert_eq!(before, after);
        assert!(new.has_workers());
        assert_eq!(workers[0].backlog(), there[0].backlog());
        let _ = there[0].done(on_its_way);
        for client in 1..5 {
            with_client(client, b"", |client| sink.message(client, b"hello"));
        }
        for (old, new) in workers.iter().zip(&there) {
            let (mut old, new) = (told(old), told(new));
            old.extend(new[old.len()..].iter().cloned());
            assert_eq!(old, new);
            assert!(new.iter().any(|(_, kind)| *kind == EventKind::Message(Bytes::from("hello"))));
        }
    }

    #[tokio::test]
    async fn what_waits_for_a_next_worker_waits_in_the_new_process_too() {
        let old = router();
        let last = old.join("last".to_owned(), true);
        let mut sink = EventForwarders(Arc::clone(&old)).sink();
        with_client(7, b"", |client| sink.connected(client, None));
        assert!(old.leave(&last, Vec::new()));
        let (new, mut sink) = taken_over(&old, &*sink, &[7]);
        assert!(!new.has_workers());
        let patience = new.state().unassigned.as_ref().unwrap().patience();
        assert!(patience <= Duration::from_secs(30) && patience > Duration::from_secs(20), "{patience:?}");
        with_client(7, b"", |client| sink.message(client, b"still here"));
        let next = new.join("next".to_owned(), true);
        let message = EventKind::Message(Bytes::from("still here"));
        assert_eq!(told(&next), [(7, EventKind::Connect), (7, message)]);
    }

    #[tokio::test]
    async fn who_has_no_worker_any_more_chooses_anew_and_is_not_new() {
        let old = router();
        let last = old.join("last".to_owned(), true);
        let mut sink = EventForwarders(Arc::clone(&old)).sink();
        with_client(7, b"", |client| sink.connected(client, None));
        told(&last);
        assert!(old.leave(&last, Vec::new()));
        old.give_up(&last);
        let (new, mut sink) = taken_over(&old, &*sink, &[7]);
        let next = new.join("next".to_owned(), true);
        with_client(7, b"", |client| sink.closed(client));
        assert_eq!(told(&next), [(7, EventKind::Close)]);
        assert!(new.choose(IpAddr::from([192, 0, 2, 1])).is_some());
    }

    #[test]
    fn what_cannot_be_read_makes_a_client_that_no_worker_knows() {
        let router = router();
        let mut sink = EventForwarders(Arc::clone(&router)).sink();
        with_client(7, b"", |client| sink.restore(client, b"\x01nonsense"));
        assert!(sink.export(7).is_none());
    }
}
