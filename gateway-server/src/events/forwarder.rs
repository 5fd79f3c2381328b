//! Gives what a shard's clients do to the workers that the clients are assigned to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use gateway_wire::ClientId;
use hashbrown::HashMap;

use super::event::{Event, EventKind};
use super::router::{EventMode, Router};
use super::worker_queue::{Destination, WorkerQueue};
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
            EventMode::BuiltIn => false,
            EventMode::Workers => true,
            EventMode::Auto => self.0.has_workers(),
        }
    }

    fn takes_moves(&self) -> bool {
        match self.0.mode() {
            EventMode::BuiltIn => true,
            EventMode::Workers => false,
            EventMode::Auto => !self.0.has_workers(),
        }
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

    /// Tells a worker of a client for the first time.
    fn introduce(
        &mut self,
        client: &Client<'_>,
        worker: Arc<WorkerQueue>,
        handshake: Option<Box<Handshake>>,
    ) {
        // A client that has gone already has no address any more.
        let peer = client.peer().unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        self.clients.insert(client.connection_id, KnownClient { assignment: Assignment::new(worker), peer });
        self.tell(client, EventKind::Connect);
        if let Some(handshake) = handshake {
            self.tell(client, EventKind::Handshake(handshake));
        }
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
}

impl EventSink for EventForwarder {
    fn connected(&mut self, client: &Client<'_>, handshake: Option<Box<Handshake>>) -> Welcome {
        match self.router.choose_for_new(self.address_of(client)) {
            Ok(worker) => {
                self.introduce(client, worker, handshake);
                Welcome::Elsewhere
            }
            Err(welcome) => welcome,
        }
    }

    fn message(&mut self, client: &Client<'_>, message: &[u8]) {
        if self.router.mode() == EventMode::BuiltIn {
            return;
        }
        if !self.clients.contains_key(&client.connection_id) {
            // The client came while there was no worker.
            let Some(worker) = self.router.choose(self.address_of(client)) else { return };
            self.introduce(client, worker, None);
        }
        self.tell(client, EventKind::Message(Bytes::copy_from_slice(message)));
    }

    fn closed(&mut self, client: &Client<'_>) {
        self.tell(client, EventKind::Close);
        self.clients.remove(&client.connection_id);
        // After a peak the map gives its memory back.
        if self.clients.len() < self.clients.capacity() / 8 {
            self.clients.shrink_to_fit();
        }
    }

    fn moved(&mut self, _: &Client<'_>, _: ClientId) -> Welcome {
        Welcome::BuiltIn
    }

    fn moved_away(&mut self, client: &Client<'_>) {
        self.clients.remove(&client.connection_id);
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
