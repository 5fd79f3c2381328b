//! A node's part in the cluster goes on in another process, which has the same instance: it counts on where this one has stopped, keeps
//! the orders that others may request again, and requests what may have come for it in between.
//!
//! To the other nodes it looks as if the node had lost its connection to the broker and had made another one.

mod form;

use std::io;
use std::net::SocketAddrV4;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::Cluster;
use super::membership::MAX_PEERS;
use super::peer::Peer;
use super::reassembly::Reassembly;
use super::resend::ResendLimiter;
use crate::system::ages::{ago, millis};
use form::CarriedPeer;
pub use form::{CarriedCluster, CarriedOrders};

/// Bytes of orders that are written together.
const BATCH: usize = 1 << 20;
/// Serial numbers and the like that the process before may still use, as it says that it lives until the other one serves.
const RESERVED: u64 = 1 << 20;

/// Why a process cannot go on as another one.
#[derive(Debug, thiserror::Error)]
pub enum MalformedCluster {
    #[error("it knows {0} other nodes, and a server knows {MAX_PEERS} at most")]
    Peers(usize),
    #[error("order {0} does not follow on those before it")]
    Order(u64),
}

impl Cluster {
    /// Bytes of the orders that are kept for other nodes.
    pub fn bytes_to_carry(&self) -> usize {
        self.queue().bytes()
    }

    /// What another process needs to go on. This one has to be at rest.
    pub fn carry(&self) -> CarriedCluster {
        let now = Instant::now();
        let membership = self.membership();
        CarriedCluster {
            age: millis(self.own().age),
            epoch: self.epoch.load(Ordering::Relaxed),
            serial: self.serials.load(Ordering::Relaxed) + RESERVED,
            latest_request: self.pending.latest_id() + RESERVED,
            subscriptions: self.subscriptions.wanted() + RESERVED,
            nonce: membership.nonce,
            resend_requests: membership.requests,
            listening_for: membership.listening_since.map(|since| millis(now.duration_since(since))),
            peers: membership
                .by_instance
                .iter()
                .map(|(instance, peer)| (*instance, carry_peer(peer, now)))
                .collect(),
            orders: self.queue().position(),
        }
    }

    /// Gives the orders that are kept for other nodes to `out`, some at a time.
    pub fn carry_orders(&self, out: &mut dyn FnMut(CarriedOrders) -> io::Result<()>) -> io::Result<()> {
        // The queue is not locked while they are written: no order is added at rest, and those that go are not missed.
        let kept: Vec<_> = self.queue().kept().collect();
        let (mut batch, mut bytes) = (CarriedOrders::default(), 0);
        for order in kept {
            bytes += order.body.len();
            batch.push(order);
            if bytes >= BATCH {
                out(std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        if batch.is_empty() { Ok(()) } else { out(batch) }
    }

    /// Goes on as the process that has written this, before this one has had a connection.
    pub fn take_over(&self, carried: CarriedCluster) -> Result<(), MalformedCluster> {
        let now = Instant::now();
        if carried.peers.len() > MAX_PEERS {
            return Err(MalformedCluster::Peers(carried.peers.len()));
        }
        self.age_before.store(carried.age, Ordering::Relaxed);
        self.epoch.store(carried.epoch, Ordering::Relaxed);
        self.epoch_before.store(carried.epoch, Ordering::Relaxed);
        self.serials.store(carried.serial, Ordering::Relaxed);
        self.pending.go_on_behind(carried.latest_request);
        self.subscriptions.go_on_behind(carried.subscriptions);
        let mut membership = self.membership();
        membership.nonce = carried.nonce;
        membership.requests = carried.resend_requests;
        membership.listening_since = carried.listening_for.map(|time| ago(now, Duration::from_millis(time)));
        membership.by_instance = carried
            .peers
            .into_iter()
            .map(|(instance, peer)| (instance, restore_peer(peer, now)))
            .collect::<HashMap<_, _>>();
        self.queue().go_on_at(carried.orders);
        Ok(())
    }

    /// Keeps orders of the process that this one goes on as. They come in their order.
    pub fn take_over_orders(&self, orders: CarriedOrders) -> Result<(), MalformedCluster> {
        let mut queue = self.queue();
        for order in orders.into_kept() {
            let number = order.number;
            if !queue.keep(order) {
                return Err(MalformedCluster::Order(number));
            }
        }
        Ok(())
    }

    /// The addresses of the other nodes that are present, as far as is known without asking.
    pub fn members(&self) -> Vec<SocketAddrV4> {
        let membership = self.membership();
        let instances = membership.instances();
        instances.into_iter().filter_map(|instance| membership.node_of(instance)).collect()
    }
}

fn carry_peer(peer: &Peer, now: Instant) -> CarriedPeer {
    CarriedPeer {
        node: peer.node,
        epoch: peer.epoch,
        serial: peer.serial,
        is_proven: peer.is_proven,
        is_doubtful: peer.is_doubtful,
        server: peer.server,
        acked: peer.acked,
        heartbeats: peer.heartbeats,
        silent_for: millis(now.duration_since(peer.heard)),
        is_member: peer.is_member,
        has_left: peer.has_left,
        clients: peer.clients,
        acked_by_it: peer.acked_by_it,
        unfinished: peer.reassembly.carry(),
    }
}

fn restore_peer(peer: CarriedPeer, now: Instant) -> Peer {
    Peer {
        node: peer.node,
        epoch: peer.epoch,
        serial: peer.serial,
        taken_before: peer.serial,
        is_proven: peer.is_proven,
        is_doubtful: peer.is_doubtful,
        server: peer.server,
        acked: peer.acked,
        heartbeats: peer.heartbeats,
        heard: ago(now, Duration::from_millis(peer.silent_for)),
        is_member: peer.is_member,
        has_left: peer.has_left,
        clients: peer.clients,
        acked_by_it: peer.acked_by_it,
        resuming: None,
        resends: ResendLimiter::default(),
        reassembly: Reassembly::behind(peer.unfinished),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::LinkState;
    use super::super::frame::{FrameKind, Header};
    use super::super::membership::Receipt;
    use super::super::queue::KeptOrder;
    use super::super::subject::SubjectTarget;
    use super::super::testing::cluster;
    use super::*;
    use crate::shard::NameKind;

    const OTHER: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(10, 0, 0, 2), 1238);

    fn header() -> Header {
        Header {
            kind: FrameKind::Answer,
            instance: 8,
            epoch: 3,
            serial: 40,
            number: 5,
            again: 0,
            has_more: true,
            is_first: true,
        }
    }

    fn peer() -> CarriedPeer {
        CarriedPeer {
            node: OTHER,
            epoch: 3,
            serial: 40,
            is_proven: true,
            is_doubtful: false,
            server: 11,
            acked: 5,
            heartbeats: 17,
            silent_for: 0,
            is_member: true,
            has_left: false,
            clients: 9,
            acked_by_it: 2,
            unfinished: Some((header(), b"half".to_vec())),
        }
    }

    /// The orders of a node that has one for everybody, one for a node, and one for a uid and a group.
    fn with_orders() -> Cluster {
        let old = cluster();
        let holders = |kind| old.holders(kind, b"alice");
        for (number, to) in
            [SubjectTarget::All, SubjectTarget::Node(OTHER), holders(NameKind::Uid), holders(NameKind::Group)]
                .into_iter()
                .enumerate()
        {
            let kind = if number == 1 { FrameKind::AskedOrder } else { FrameKind::Order };
            assert_eq!(old.push(to, kind, Bytes::from(format!("order {number}"))), Ok(number as u64 + 1));
        }
        old.membership().by_instance.insert(8, restore_peer(peer(), Instant::now()));
        old
    }

    fn orders(cluster: &Cluster) -> CarriedOrders {
        let mut all = Vec::new();
        cluster
            .carry_orders(&mut |orders| {
                all.push(orders);
                Ok(())
            })
            .unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    #[test]
    fn a_node_goes_on_in_another_process() {
        let (old, new) = (with_orders(), cluster());
        old.epoch.store(4, Ordering::Relaxed);
        new.take_over(old.carry()).unwrap();
        new.take_over_orders(orders(&old)).unwrap();
        assert_eq!((new.queue().last(), new.members()), (4, vec![OTHER]));
        assert!(matches!(*new.link.borrow(), LinkState::Down { .. }));
        assert_eq!(new.own().age.as_secs(), old.own().age.as_secs());
        let kept = |cluster: &Cluster| {
            let kept = |order: KeptOrder| (order.to, order.kind, order.number, order.body);
            cluster.queue().kept().map(kept).collect::<Vec<_>>()
        };
        assert_eq!((kept(&new).len(), kept(&new)), (4, kept(&old)));

        // What the process before has taken is not taken again, and is no recording that somebody plays.
        let mut membership = new.membership();
        let next = Header { kind: FrameKind::Answer, has_more: false, is_first: false, ..header() };
        let now = Instant::now();
        let mut receive = |header: &Header| membership.receive(header, Bytes::from_static(b" whole"), now);
        assert_eq!(receive(&next), Receipt::Ignore);
        let next = Header { serial: 41, ..next };
        assert_eq!(receive(&next), Receipt::Take(Bytes::from_static(b"half whole")));
        assert_eq!(receive(&next), Receipt::Recorded);
        let requests = membership.resume_inherited(now);
        assert_eq!((requests.len(), requests[0].node, requests[0].request.after), (1, OTHER, 5));
        // Frames of the process before are known, and those of this one are not its.
        let own = Header { instance: 7, epoch: 4, ..header() };
        assert!(new.is_of_process_before(&own) && !new.is_of_process_before(&Header { epoch: 5, ..own }));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let (old, new) = (with_orders(), cluster());
        let mut many = old.carry();
        many.peers = (0..=MAX_PEERS as u64).map(|instance| (instance, peer())).collect();
        let error = new.take_over(many).unwrap_err().to_string();
        assert_eq!(error, "it knows 4097 other nodes, and a server knows 4096 at most");
        // The orders have numbers that the node has not given yet.
        let error = new.take_over_orders(orders(&old)).unwrap_err().to_string();
        assert_eq!(error, "order 1 does not follow on those before it");
        new.take_over(old.carry()).unwrap();
        new.take_over_orders(orders(&old)).unwrap();
        assert!(new.take_over_orders(orders(&old)).is_err(), "the same orders came twice");
    }

    #[test]
    fn the_form_of_this_release_is_read_later() {
        const GOLDEN: &[u8] = include_bytes!("golden/cluster_1.bin");
        let carried = CarriedCluster {
            age: 1000,
            epoch: 4,
            serial: 70_000,
            latest_request: 12,
            subscriptions: 3,
            nonce: 0xfeed,
            resend_requests: 6,
            listening_for: Some(900),
            peers: vec![(8, peer())],
            ..with_orders().carry()
        };
        let mut orders = orders(&with_orders());
        orders.set_ages(20);
        let written = rmp_serde::to_vec_named(&(&carried, &orders)).unwrap();
        assert_eq!(written, GOLDEN);
        let read: (CarriedCluster, CarriedOrders) = rmp_serde::from_slice(GOLDEN).unwrap();
        assert_eq!(read, (carried, orders));
    }
}
