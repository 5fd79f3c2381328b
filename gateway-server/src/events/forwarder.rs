//! Gives what a shard's clients do to the workers that the clients are assigned to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use gateway_wire::ClientId;
use hashbrown::HashMap;

use super::carry::CarriedAssignment;
use super::event::{Event, EventKind};
use super::router::Router;
use super::worker_queue::{Destination, WorkerQueue};
use crate::config::EventHandlers;
use crate::shard::{Client, EventSink, EventSinks, Handshake, Welcome};
use crate::telemetry::abuse_log::{self, Offence};

/// Puts the events of one shard into the queues of workers.
struct EventForwarder {
    router: Arc<Router>,
    /// The clients that workers know, by the number of the connection.
    clients: HashMap<u32, KnownClient>,
}

/// Makes an [`EventForwarder`] for each shard.
pub struct EventForwarders(pub Arc<Router>);

impl EventSinks for EventForwarders {
    fn sink(&self) -> Box<dyn EventSink> {
        Box::new(EventForwarder::new(Arc::clone(&self.0)))
    }

    fn wants_handshakes(&self) -> bool {
        match self.0.mode() {
            EventHandlers::BuiltIn => false,
            EventHandlers::Workers => true,
            EventHandlers::Auto => self.0.has_workers(),
        }
    }

    fn takes_moves(&self) -> bool {
        self.0.takes_moves()
    }
}

/// A client that a worker has been told of.
struct KnownClient {
    assignment: Assignment,
    peer: SocketAddr,
}

/// Says which worker a client belongs to. The worker counts the client for as long as this value lasts.
struct Assignment(Arc<WorkerQueue>);

impl EventForwarder {
    fn new(router: Arc<Router>) -> Self {
        Self { router, clients: HashMap::new() }
    }

    /// The address by which the router chooses a worker. It is 0.0.0.0 when the router does not look at it, and for a client that
    /// has gone already.
    fn address_of(&self, client: &Client<'_>) -> IpAddr {
        let peer = if self.router.is_by_address() { client.peer() } else { None };
        peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip())
    }

    /// Tells a worker of a client for the first time. `first` says how the client came.
    fn introduce(&mut self, client: &Client<'_>, worker: Arc<WorkerQueue>, first: EventKind) {
        // A client that has gone already has no address any more.
        let peer = client.peer().unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        self.clients.insert(client.connection_id, KnownClient { assignment: Assignment::new(worker), peer });
        self.tell(client, first);
    }

    fn tell(&mut self, client: &Client<'_>, kind: EventKind) {
        let Some(KnownClient { assignment, peer }) = self.clients.get_mut(&client.connection_id) else {
            return;
        };
        let session = Bytes::copy_from_slice(client.session);
        let Client { connection_id, gateway_port, .. } = *client;
        let mut event = Event { kind, connection_id, peer: *peer, gateway_port, session };
        loop {
            let Some((back, destination)) = assignment.0.push(event) else { return };
            event = back;
            let next = match destination {
                Destination::Successor(successor) => Some(successor),
                _ => self.router.choose_next(peer.ip()),
            };
            let Some(next) = next else {
                // The client's worker has gone, and no other came while its events were kept.
                self.clients.remove(&client.connection_id);
                return abuse_log::report(Offence::NoWorker, client.peer(), &"no worker serves");
            };
            *assignment = Assignment::new(next);
        }
    }

    /// Forgets a client of which its worker hears nothing more.
    fn forget(&mut self, connection_id: u32) {
        self.clients.remove(&connection_id);
        // After a peak the map gives its memory back.
        if self.clients.len() < self.clients.capacity() / 8 {
            self.clients.shrink_to_fit();
        }
    }
}

impl EventSink for EventForwarder {
    fn connected(&mut self, client: &Client<'_>, handshake: Option<Box<Handshake>>) -> Welcome {
        match self.router.choose_for_new(self.address_of(client)) {
            Ok(worker) => {
                self.introduce(client, worker, EventKind::Connect);
                if let Some(handshake) = handshake {
                    self.tell(client, EventKind::Handshake(handshake));
                }
                Welcome::Elsewhere
            }
            Err(welcome) => welcome,
        }
    }

    fn moved(&mut self, client: &Client<'_>, old: ClientId) -> Welcome {
        match self.router.choose_for_new(self.address_of(client)) {
            Ok(worker) => {
                self.introduce(client, worker, EventKind::Moved(old));
                Welcome::Elsewhere
            }
            Err(welcome) => welcome,
        }
    }

    fn message(&mut self, client: &Client<'_>, message: &[u8]) {
        if self.router.mode() == EventHandlers::BuiltIn {
            return;
        }
        if !self.clients.contains_key(&client.connection_id) {
            // The client came while there was no worker.
            let Some(worker) = self.router.choose(self.address_of(client)) else { return };
            self.introduce(client, worker, EventKind::Connect);
        }
        self.tell(client, EventKind::Message(Bytes::copy_from_slice(message)));
    }

    fn closed(&mut self, client: &Client<'_>) {
        self.tell(client, EventKind::Close);
        self.forget(client.connection_id);
    }

    fn moved_away(&mut self, client: &Client<'_>) {
        self.forget(client.connection_id);
    }

    fn takes_more(&mut self, connection_id: u32) -> bool {
        let Some(KnownClient { assignment, peer }) = self.clients.get_mut(&connection_id) else {
            // The client's first message makes it known.
            return self.router.has_room();
        };
        loop {
            match assignment.0.destination() {
                Destination::Here => return true,
                Destination::Full => {
                    abuse_log::report(Offence::BusyWorkers, Some(*peer), &"worker_buffer_bytes wait already");
                    return false;
                }
                Destination::Successor(successor) => *assignment = Assignment::new(successor),
                Destination::Anywhere => match self.router.choose_next(peer.ip()) {
                    Some(worker) => *assignment = Assignment::new(worker),
                    None => return true,
                },
            }
        }
    }

    fn export(&self, connection_id: u32) -> Option<Bytes> {
        let KnownClient { assignment, peer } = self.clients.get(&connection_id)?;
        Some(CarriedAssignment::of(&assignment.0, *peer).to_bytes().into())
    }

    /// A client of which nothing can be read is one that no worker knows, which its next message makes known.
    fn restore(&mut self, client: &Client<'_>, exported: &[u8]) {
        let Some(carried) = CarriedAssignment::from_bytes(exported) else { return };
        let assignment = Assignment::new(self.router.worker_of(&carried));
        self.clients.insert(client.connection_id, KnownClient { assignment, peer: carried.peer });
    }
}

impl Assignment {
    fn new(worker: Arc<WorkerQueue>) -> Self {
        worker.clients.fetch_add(1, Ordering::Relaxed);
        Self(worker)
    }
}

impl Drop for Assignment {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::config::Settings;
    use crate::shard::testing::with_client;

    const OLD: &str = "c00002010b5400000009";

    fn router(events: EventHandlers) -> Arc<Router> {
        Router::new(&Settings { events, ..Settings::default() }).into()
    }

    fn moved(sink: &mut EventForwarder, connection_id: u32) -> Welcome {
        with_client(connection_id, b"a:0:{}", |client| sink.moved(client, OLD.parse().unwrap()))
    }

    fn told(worker: &WorkerQueue) -> Vec<Event> {
        worker.next(usize::MAX).now_or_never().flatten().map_or(Vec::new(), |batch| batch.events)
    }

    fn kinds(worker: &WorkerQueue) -> Vec<EventKind> {
        told(worker).into_iter().map(|event| event.kind).collect()
    }

    #[test]
    fn a_client_that_has_moved_is_told_to_one_worker_by_its_old_id_and_then_like_any_other() {
        let router = router(EventHandlers::Auto);
        let [first, second] = ["first", "second"].map(|name| router.join(name.to_owned(), true));
        let mut sink = EventForwarder::new(Arc::clone(&router));
        assert_eq!(moved(&mut sink, 7), Welcome::Elsewhere);
        let clients_of = |worker: &WorkerQueue| worker.clients.load(Ordering::Relaxed);
        let (its, other) = if clients_of(&first) == 1 { (&first, &second) } else { (&second, &first) };
        let events = told(its);
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0].kind, EventKind::Moved(OLD.parse().unwrap()));
        assert_eq!((events[0].connection_id, &events[0].session[..]), (7, &b"a:0:{}"[..]));
        assert!(events[0].peer.ip().is_loopback());
        with_client(7, b"", |client| sink.message(client, b"hello"));
        with_client(7, b"", |client| sink.closed(client));
        assert_eq!(kinds(its), [EventKind::Message(Bytes::from("hello")), EventKind::Close]);
        assert_eq!(told(other), []);
        assert_eq!([clients_of(its), clients_of(other)], [0, 0]);
        // The worker with the fewest clients is chosen, as for one that connects.
        assert_eq!([moved(&mut sink, 1), moved(&mut sink, 2)], [Welcome::Elsewhere; 2]);
        assert_eq!([clients_of(&first), clients_of(&second)], [1, 1]);
    }

    #[test]
    fn without_a_worker_the_server_greets_who_has_moved_and_the_first_message_connects_it() {
        let mut built_in = EventForwarder::new(router(EventHandlers::BuiltIn));
        assert_eq!(moved(&mut built_in, 1), Welcome::BuiltIn);
        let mut refusing = EventForwarder::new(router(EventHandlers::Workers));
        assert_eq!(moved(&mut refusing, 1), Welcome::Refused);
        let router = router(EventHandlers::Auto);
        let mut sink = EventForwarder::new(Arc::clone(&router));
        assert_eq!(moved(&mut sink, 1), Welcome::BuiltIn);
        let worker = router.join("w".to_owned(), true);
        with_client(1, b"", |client| sink.message(client, b"hello"));
        assert_eq!(kinds(&worker), [EventKind::Connect, EventKind::Message(Bytes::from("hello"))]);
    }

    #[test]
    fn a_move_that_a_worker_has_not_taken_is_its_successors() {
        let router = router(EventHandlers::Auto);
        let worker = router.join("w".to_owned(), true);
        let mut sink = EventForwarder::new(Arc::clone(&router));
        assert_eq!(moved(&mut sink, 1), Welcome::Elsewhere);
        let untaken = told(&worker);
        let successor = router.join("w".to_owned(), false);
        assert!(!router.leave(&worker, untaken));
        assert_eq!(kinds(&successor), [EventKind::Moved(OLD.parse().unwrap())]);
    }
}
