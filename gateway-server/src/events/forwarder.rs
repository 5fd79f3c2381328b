//! A shard's clients and their workers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use hashbrown::HashMap;

use super::event::{Event, Kind};
use super::router::{Mode, Router};
use super::worker_queue::{Place, Worker};
use crate::shard::{Client, EventSink, EventSinks, Handshake, Welcome};
use crate::telemetry::abuse_log::{self, Offence};

/// Gives the events of one shard to workers.
pub struct Sink {
    router: Arc<Router>,
    /// The clients of which workers know.
    clients: HashMap<u32, Known>,
}

/// A [`Sink`] for each shard.
pub struct Sinks(pub Arc<Router>);

impl EventSinks for Sinks {
    fn sink(&self) -> Box<dyn EventSink> {
        Box::new(Sink::new(Arc::clone(&self.0)))
    }

    fn wants_handshakes(&self) -> bool {
        match self.0.mode() {
            Mode::BuiltIn => false,
            Mode::Workers => true,
            Mode::Auto => self.0.has_workers(),
        }
    }
}

struct Known {
    seat: Seat,
    peer: SocketAddr,
}

/// Counts a client among those of a worker for as long as it lasts.
struct Seat(Arc<Worker>);

impl Sink {
    pub fn new(router: Arc<Router>) -> Self {
        Self { router, clients: HashMap::new() }
    }

    /// Any, if it makes no difference to the router. One that has gone already has none any more.
    fn address_of(&self, client: &Client<'_>) -> IpAddr {
        let peer = if self.router.is_by_address() { client.peer() } else { None };
        peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip())
    }

    /// The first that a worker hears of a client.
    fn introduce(&mut self, client: &Client<'_>, worker: Arc<Worker>, handshake: Option<Box<Handshake>>) {
        // One that has gone already has no address any more.
        let peer = client.peer().unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        self.clients.insert(client.number, Known { seat: Seat::new(worker), peer });
        self.tell(client, Kind::Connect);
        if let Some(handshake) = handshake {
            self.tell(client, Kind::Handshake(handshake));
        }
    }

    fn tell(&mut self, client: &Client<'_>, kind: Kind) {
        let Some(Known { seat, peer }) = self.clients.get_mut(&client.number) else { return };
        let session = Bytes::copy_from_slice(client.session);
        let Client { number, gateway_port, .. } = *client;
        let mut event = Event { kind, number, peer: *peer, gateway_port, session };
        loop {
            let Some((back, place)) = seat.0.push(event) else { return };
            event = back;
            let next = match place {
                Place::At(heir) => Some(heir),
                _ => self.router.choose_next(peer.ip()),
            };
            let Some(next) = next else {
                // It knew workers, and there is none any more for longer than anybody waits.
                self.clients.remove(&client.number);
                return abuse_log::report(Offence::NoWorker, client.peer(), &"no worker serves");
            };
            *seat = Seat::new(next);
        }
    }
}

impl EventSink for Sink {
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
        if self.router.mode() == Mode::BuiltIn {
            return;
        }
        if !self.clients.contains_key(&client.number) {
            // It came while there was no worker.
            let Some(worker) = self.router.choose(self.address_of(client)) else { return };
            self.introduce(client, worker, None);
        }
        self.tell(client, Kind::Message(Bytes::copy_from_slice(message)));
    }

    fn closed(&mut self, client: &Client<'_>) {
        self.tell(client, Kind::Close);
        self.clients.remove(&client.number);
        // Give memory back after a peak.
        if self.clients.len() < self.clients.capacity() / 8 {
            self.clients.shrink_to_fit();
        }
    }

    fn takes_more(&mut self, number: u32) -> bool {
        let Some(Known { seat, peer }) = self.clients.get_mut(&number) else {
            // Its first message makes it known.
            return self.router.has_room();
        };
        loop {
            match seat.0.place() {
                Place::Here => return true,
                Place::Full => {
                    abuse_log::report(Offence::BusyWorkers, Some(*peer), &"worker_buffer_bytes wait already");
                    return false;
                }
                Place::At(heir) => *seat = Seat::new(heir),
                Place::Anywhere => match self.router.choose_next(peer.ip()) {
                    Some(worker) => *seat = Seat::new(worker),
                    None => return true,
                },
            }
        }
    }
}

impl Seat {
    fn new(worker: Arc<Worker>) -> Self {
        worker.clients.fetch_add(1, Ordering::Relaxed);
        Self(worker)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}
