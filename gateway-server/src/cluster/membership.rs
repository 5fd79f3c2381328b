//! The members of the cluster, and which orders of each have arrived.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hashbrown::HashMap;

use super::frame::Header;
use super::heartbeat::{Heartbeat, Proof, SILENCE};
use super::peer::{Peer, Sequence};
use super::resend::ResendRequest;
use super::strangers::{Approach, Strangers};

/// Time since its last heartbeat for which a node counts as healthy: it may be slow, and others wait for it.
const HEALTHY: Duration = Duration::from_millis(1500);
/// Time since its last heartbeat for which orders are kept for a silent node that has not got them.
const PATIENCE_FOR_SILENT: Duration = Duration::from_secs(60);
/// Time for which it is remembered which orders of a silent node have arrived, in case it comes back.
const MEMORY: Duration = Duration::from_secs(3600);
/// Number of nodes that are remembered.
pub(super) const MAX_PEERS: usize = 4096;
/// Longest time that a resend request takes to its node.
const ON_THE_WAY: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Membership {
    pub(super) by_instance: HashMap<u64, Peer>,
    strangers: Strangers,
    /// The nonce that other nodes repeat in their greetings to show that they live. It is drawn anew whenever a node is forgotten
    /// that may have gone, so that greetings recorded before are worthless.
    pub(super) nonce: u64,
    /// The number of the latest resend request.
    pub(super) requests: u32,
    /// The time when a node of another release was last heard.
    other_release: Option<Instant>,
    /// The time since which this node hears others without a break.
    pub(super) listening_since: Option<Instant>,
}

/// This node's own instance and age.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub(super) instance: u64,
    /// The time for which its process has run.
    pub(super) age: Duration,
}

/// A node as the operations port shows it.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub instance: u64,
    pub node: SocketAddrV4,
    pub clients: u64,
    /// The time since its last heartbeat.
    pub silent_for: Duration,
    /// True when the node has been heard lately.
    pub is_member: bool,
}

/// A resend request, and the node that it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resume {
    pub(super) node: SocketAddrV4,
    pub(super) instance: u64,
    pub(super) request: ResendRequest,
}

/// The decision about a frame.
#[derive(Debug, PartialEq)]
pub(super) enum Receipt {
    /// The frame is next in order; this is its whole body.
    Take(Bytes),
    /// The frame has come before, or will come again.
    Ignore,
    /// The node has to send its orders again.
    Resume(Resume),
    /// The sender has not shown that it lives.
    Stranger,
    /// The frame has come before, so somebody plays a recording.
    Recorded,
}

/// The changes that a heartbeat brings.
#[derive(Debug, Default, PartialEq)]
pub(super) struct MembershipNews {
    /// The address of a node that is a new member.
    pub(super) came: Option<SocketAddrV4>,
    /// The address of an earlier process, when the sender has replaced it.
    pub(super) gone: Option<SocketAddrV4>,
    pub(super) resume: Option<Resume>,
    /// The sender has not shown that it lives; the rest of the heartbeat was ignored then.
    pub(super) stranger: Option<Approach>,
    /// The heartbeat has come before, so it was ignored too.
    pub(super) is_recorded: bool,
}

impl Membership {
    /// Begins with random numbers, which nobody can have recorded.
    pub(super) fn new() -> Self {
        Self { nonce: draw(0), requests: draw(0) as u32, ..Self::default() }
    }

    pub(super) fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Decides about a frame that is no introduction. The parts of long frames are joined.
    pub(super) fn receive(&mut self, header: &Header, body: Bytes, now: Instant) -> Receipt {
        let Self { by_instance, requests, .. } = self;
        let peer = by_instance.get_mut(&header.instance).filter(|peer| peer.is_proven);
        let Some(peer) = peer else { return Receipt::Stranger };
        match peer.follow(header) {
            Sequence::Late => return Receipt::Ignore,
            Sequence::Recorded => return Receipt::Recorded,
            Sequence::NewConnection => return Receipt::Resume(resume(header.instance, peer, requests, now)),
            Sequence::InOrder => {}
        }
        let Some(body) = peer.reassembly.add(header, body) else { return Receipt::Ignore };
        if !header.kind.is_numbered() {
            return Receipt::Take(body);
        }
        if peer.is_doubtful {
            return Receipt::Resume(resume(header.instance, peer, requests, now));
        }
        if peer.takes_order(header, now) { Receipt::Take(body) } else { Receipt::Ignore }
    }

    /// Takes in the introduction of a node. `proof` comes with a greeting to this node.
    pub(super) fn hear(
        &mut self,
        header: &Header,
        heartbeat: &Heartbeat,
        proof: Option<Proof>,
        own: Own,
        now: Instant,
    ) -> MembershipNews {
        let mut news = MembershipNews::default();
        let is_proof = proof.is_some_and(|proof| proof.nonce == self.nonce);
        let known = self.by_instance.get(&header.instance);
        if !is_proof && !known.is_some_and(|peer| peer.is_proven) {
            news.stranger = Some(self.strangers.hear(header.instance, heartbeat, now));
            return news;
        }
        let is_new = known.is_none();
        if is_new {
            if self.by_instance.len() == MAX_PEERS && !self.make_room() {
                // All remembered nodes are present, so there is no room for another.
                news.stranger = Some(Approach::Suspect);
                return news;
            }
            for before in self.by_instance.values_mut().filter(|peer| peer.node == heartbeat.node) {
                (before.has_left, before.is_proven) = (true, false);
                if std::mem::take(&mut before.is_member) {
                    news.gone = Some(before.node);
                }
            }
            self.by_instance.insert(header.instance, Peer::new(header, heartbeat, now));
        }
        let Some(peer) = self.by_instance.get_mut(&header.instance) else { return news };
        let is_new_connection = match peer.follow(header) {
            Sequence::Late => return news,
            Sequence::Recorded => return MembershipNews { is_recorded: true, ..news },
            Sequence::InOrder => false,
            Sequence::NewConnection => true,
        };
        self.strangers.forget(header.instance);
        let is_back = !std::mem::replace(&mut peer.is_proven, true);
        peer.has_left = false;
        if !peer.is_member {
            peer.is_member = true;
            news.came = Some(peer.node);
        }
        (peer.heard, peer.clients, peer.server) = (now, heartbeat.clients, heartbeat.server);
        let of_us = heartbeat.acked.iter().find(|(instance, _)| *instance == own.instance);
        peer.acked_by_it = of_us.map_or(peer.acked_by_it, |(_, acked)| peer.acked_by_it.max(*acked));
        let has_gap = is_new_connection || peer.is_doubtful || heartbeat.count > peer.heartbeats + 1;
        // The other node may have received no request of this one before it knew that this one lives.
        let is_unasked = is_back && peer.resuming.is_none() || proof.is_some_and(|proof| proof.wants_answer);
        if has_gap || is_unasked || peer.is_stuck(now) {
            let mut resume = resume(header.instance, peer, &mut self.requests, now);
            if is_new {
                // Older orders do not concern this node, as it had no clients before it started.
                resume.request.within = own.age + ON_THE_WAY;
            }
            news.resume = Some(resume);
        } else if peer.resuming.is_none() {
            // Frames arrive in order, so all orders that it sent before the heartbeat have arrived.
            peer.acked = peer.acked.max(header.number);
        }
        peer.heartbeats = heartbeat.count;
        for (instance, _) in &heartbeat.acked {
            self.strangers.vouch(*instance, now);
        }
        news
    }

    /// Forgets the absent node that has been silent for longest. Gives false when all nodes are present.
    fn make_room(&mut self) -> bool {
        let absent = self.by_instance.iter().filter(|(_, peer)| !peer.is_member);
        let Some(instance) = absent.min_by_key(|(_, peer)| peer.heard).map(|(instance, _)| *instance) else {
            return false;
        };
        self.by_instance.remove(&instance);
        self.nonce = draw(self.nonce);
        true
    }

    /// The nodes that are heard but have not shown that they live. Answers of the whole cluster are incomplete without them.
    pub(super) fn unproven(&self, now: Instant) -> Vec<SocketAddrV4> {
        let mut nodes: Vec<_> = self.strangers.waited_for(now).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    pub(super) fn hear_other_release(&mut self, now: Instant) {
        self.other_release = Some(now);
    }

    /// True when nodes of another release are in the cluster, whose clients are not known here.
    pub(super) fn hears_other_release(&self, now: Instant) -> bool {
        self.other_release.is_some_and(|heard| now.duration_since(heard) < SILENCE)
    }

    /// Takes a node's resend request. Gives the node's address if the request is served now; otherwise it is kept for
    /// [`Membership::due`].
    pub(super) fn asks(
        &mut self,
        instance: u64,
        request: ResendRequest,
        now: Instant,
    ) -> Option<SocketAddrV4> {
        let peer = self.by_instance.get_mut(&instance)?;
        peer.resends.may_serve(request, now).then_some(peer.node)
    }

    /// Takes the postponed requests that may be served by now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(SocketAddrV4, ResendRequest)> {
        let due = |peer: &mut Peer| Some((peer.node, peer.resends.due(now)?));
        self.by_instance.values_mut().filter_map(due).collect()
    }

    /// The NATS servers to which other nodes are connected, except this node's `own`, each with one of its nodes. A node that is
    /// too silent to be asked has to send again what it sends from now on.
    pub(super) fn servers(&mut self, own: u64, now: Instant) -> HashMap<u64, SocketAddrV4> {
        let mut found: HashMap<u64, (Instant, SocketAddrV4)> = HashMap::new();
        for peer in self.by_instance.values_mut().filter(|peer| peer.is_member && peer.server != own) {
            if now.duration_since(peer.heard) >= HEALTHY {
                peer.is_doubtful = true;
                continue;
            }
            let best = found.entry(peer.server).or_insert((peer.heard, peer.node));
            *best = (*best).max((peer.heard, peer.node));
        }
        found.into_iter().map(|(server, (_, node))| (server, node)).collect()
    }

    /// Notes that a node has sent again everything that was requested.
    pub(super) fn resumed(&mut self, header: &Header) {
        if let Some(peer) = self.by_instance.get_mut(&header.instance) {
            peer.resumed(header);
        }
    }

    /// Makes the resend requests for all nodes after this node's connection was lost.
    pub(super) fn resume_all(&mut self, now: Instant) -> Vec<Resume> {
        self.nonce = draw(self.nonce);
        self.listening_since = Some(now);
        let Self { by_instance, requests, .. } = self;
        let peers = by_instance.iter_mut().filter(|(_, peer)| !peer.has_left);
        peers
            .map(|(instance, peer)| {
                peer.heard = now;
                // A node that has gone meanwhile could not be heard leaving, so each has to show again that it lives.
                peer.is_proven = false;
                peer.reassembly.reset();
                resume(*instance, peer, requests, now)
            })
            .collect()
    }

    /// Makes the resend requests for all nodes when this process has taken over from another one. That has heard the others up to the
    /// frames that this process has, so none could leave unheard.
    pub(super) fn resume_inherited(&mut self, now: Instant) -> Vec<Resume> {
        let Self { by_instance, requests, .. } = self;
        let peers = by_instance.iter_mut().filter(|(_, peer)| !peer.has_left);
        peers.map(|(instance, peer)| resume(*instance, peer, requests, now)).collect()
    }

    /// Whether a frame comes from a node that lives, on its latest connection, and is not taken yet.
    pub(super) fn is_news(&self, header: &Header) -> bool {
        self.by_instance
            .get(&header.instance)
            .is_some_and(|peer| peer.is_proven && peer.epoch == header.epoch && header.serial > peer.serial)
    }

    /// Whether a node that is no member may live nevertheless: it has never been heard, and this node has not listened for long enough.
    pub(super) fn may_have_missed(&self, node: SocketAddrV4, now: Instant) -> bool {
        let is_short = self.listening_since.is_none_or(|since| now.duration_since(since) < SILENCE);
        is_short && self.by_instance.values().all(|peer| peer.node != node)
    }

    /// Removes a node that leaves from the members. Gives its address if it was a member.
    pub(super) fn leave(&mut self, instance: u64) -> Option<SocketAddrV4> {
        let peer = self.by_instance.get_mut(&instance)?;
        peer.has_left = true;
        std::mem::take(&mut peer.is_member).then_some(peer.node)
    }

    /// Whether a process has said that it leaves, or another one has taken its address.
    pub(super) fn has_left(&self, instance: u64) -> bool {
        self.by_instance.get(&instance).is_some_and(|peer| peer.has_left)
    }

    /// Removes nodes that have been silent for too long from the members, and gives their instances and addresses.
    pub(super) fn tidy(&mut self, now: Instant) -> Vec<(u64, SocketAddrV4)> {
        let known = self.by_instance.len();
        self.by_instance.retain(|_, peer| now.duration_since(peer.heard) < MEMORY);
        if self.by_instance.len() < known {
            self.nonce = draw(self.nonce);
        }
        let silent = self
            .by_instance
            .iter_mut()
            .filter(|(_, peer)| peer.is_member && now.duration_since(peer.heard) > SILENCE);
        silent
            .map(|(instance, peer)| {
                (peer.is_member, peer.is_proven) = (false, false);
                peer.reassembly.reset();
                (*instance, peer.node)
            })
            .collect()
    }

    /// The number up to which this node's orders have arrived at all nodes that are present or were lately. `None` if there are
    /// no such nodes.
    pub(super) fn acked_by_all(&self, now: Instant) -> Option<u64> {
        if self.strangers.waited_for(now).next().is_some() {
            return Some(0);
        }
        let may_return =
            |peer: &&Peer| !peer.has_left && now.duration_since(peer.heard) < PATIENCE_FOR_SILENT;
        self.by_instance.values().filter(may_return).map(|peer| peer.acked_by_it).min()
    }

    /// The number up to which this node's orders have arrived at all healthy nodes. `None` if there are no such nodes.
    pub(super) fn acked_by_the_healthy(&self, now: Instant) -> Option<u64> {
        let is_healthy = |peer: &&Peer| now.duration_since(peer.heard) < HEALTHY;
        self.members().map(|(_, peer)| peer).filter(is_healthy).map(|peer| peer.acked_by_it).min()
    }

    /// The instances of all members, each with the number up to which its orders have arrived here.
    pub(super) fn acked(&self) -> Vec<(u64, u64)> {
        self.members().map(|(instance, peer)| (*instance, peer.acked)).collect()
    }

    /// The number of the other nodes.
    pub(super) fn len(&self) -> usize {
        self.members().count()
    }

    pub(super) fn instances(&self) -> Vec<u64> {
        self.members().map(|(instance, _)| *instance).collect()
    }

    /// Gives those of the instances that are no members.
    pub(super) fn absent_of(&self, mut instances: Vec<u64>) -> Vec<u64> {
        instances.retain(|instance| !self.by_instance.get(instance).is_some_and(|peer| peer.is_member));
        instances
    }

    /// The instance of the member with this address.
    pub(super) fn instance_at(&self, node: SocketAddrV4) -> Option<u64> {
        self.members().find(|(_, peer)| peer.node == node).map(|(instance, _)| *instance)
    }

    /// True when a member with this address has shown that it lives.
    pub(super) fn is_proven_at(&self, node: SocketAddrV4) -> bool {
        self.members().any(|(_, peer)| peer.node == node && peer.is_proven)
    }

    pub(super) fn node_of(&self, instance: u64) -> Option<SocketAddrV4> {
        self.by_instance.get(&instance).map(|peer| peer.node)
    }

    pub(super) fn sightings(&self, now: Instant) -> Vec<Sighting> {
        let sighting = |(instance, peer): (&u64, &Peer)| Sighting {
            instance: *instance,
            node: peer.node,
            clients: peer.clients,
            silent_for: now.duration_since(peer.heard),
            is_member: peer.is_member,
        };
        let mut sightings: Vec<_> = self.by_instance.iter().map(sighting).collect();
        sightings.sort_by_key(|sighting| (sighting.node, sighting.instance));
        sightings
    }

    fn members(&self) -> impl Iterator<Item = (&u64, &Peer)> {
        self.by_instance.iter().filter(|(_, peer)| peer.is_member)
    }
}

fn resume(instance: u64, peer: &mut Peer, requests: &mut u32, now: Instant) -> Resume {
    Resume { node: peer.node, instance, request: peer.resume(requests, now) }
}

/// Draws a new random number; `before` is the one that it replaces.
fn draw(before: u64) -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        // Without random numbers, a number that can be guessed has to do, as long as it is new.
        Err(_) => before.wrapping_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::FrameKind;
    use super::super::peer::RESEND_PATIENCE;
    use super::*;

    const NODE: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(10, 0, 0, 1), 1238);

    const OWN: Own = Own { instance: 9, age: Duration::from_secs(3) };

    fn resume(again: u32, after: u64) -> Option<Resume> {
        let request = ResendRequest { again, after, within: Duration::MAX };
        Some(Resume { node: NODE, instance: 1, request })
    }

    /// The resend request for a new node.
    fn first_resume() -> Option<Resume> {
        let within = OWN.age + ON_THE_WAY;
        resume(1, 0).map(|resume| Resume { request: ResendRequest { within, ..resume.request }, ..resume })
    }

    struct Test {
        membership: Membership,
        now: Instant,
        instance: u64,
        epoch: u32,
        serial: u64,
        heartbeats: u64,
        server: u64,
    }

    impl Test {
        fn header(&mut self, kind: FrameKind, number: u64, again: u32) -> Header {
            self.serial += 1;
            let (instance, epoch, serial) = (self.instance, self.epoch, self.serial);
            Header { kind, instance, epoch, serial, number, again, has_more: false, is_first: true }
        }

        fn own_heartbeat(&self) -> Heartbeat {
            let (acked, count) = (vec![(OWN.instance, 5)], self.heartbeats);
            Heartbeat { node: NODE, count, acked, clients: 3, nonce: 0, server: self.server }
        }

        fn heartbeat(&mut self, number: u64) -> MembershipNews {
            self.heartbeats += 1;
            let (header, heartbeat) = (self.header(FrameKind::Heartbeat, number, 0), self.own_heartbeat());
            self.membership.hear(&header, &heartbeat, None, OWN, self.now)
        }

        fn greeting(&mut self, number: u64, nonce: u64) -> MembershipNews {
            let (header, heartbeat) = (self.header(FrameKind::Greeting, number, 0), self.own_heartbeat());
            let proof = Some(Proof { nonce, wants_answer: false });
            self.membership.hear(&header, &heartbeat, proof, OWN, self.now)
        }

        /// The node shows that it lives, and then everything that was requested has arrived.
        fn meet(&mut self, number: u64) -> MembershipNews {
            let news = self.greeting(number, self.membership.nonce());
            let again = news.resume.map_or(0, |resume| resume.request.again);
            let resumed = self.header(FrameKind::Resumed, number, again);
            self.membership.resumed(&resumed);
            news
        }

        fn receive(&mut self, number: u64, again: u32) -> Receipt {
            let header = self.header(FrameKind::Order, number, again);
            self.membership.receive(&header, Bytes::new(), self.now)
        }

        fn takes(&mut self, number: u64, again: u32) -> bool {
            matches!(self.receive(number, again), Receipt::Take(_))
        }
    }

    fn test() -> Test {
        let (membership, now) = (Membership::default(), Instant::now());
        Test { membership, now, instance: 1, epoch: 1, serial: 0, heartbeats: 0, server: 0 }
    }

    #[test]
    fn each_number_is_taken_once_and_in_order() {
        let mut test = test();
        assert!(!test.takes(1, 0));
        assert_eq!(test.meet(5).came, Some(NODE));
        assert_eq!(test.membership.acked_by_all(test.now), Some(5));
        assert!(!test.takes(5, 0) && test.takes(6, 0) && !test.takes(6, 0) && test.takes(9, 0));
        assert_eq!(test.heartbeat(12), MembershipNews::default());
        assert_eq!(test.membership.acked(), [(1, 12)]);

        // The other node's connection was lost.
        test.epoch = 2;
        test.heartbeats = 0;
        assert_eq!(test.heartbeat(15).resume, resume(2, 12));
        assert!(!test.takes(16, 0));
        assert!(test.takes(14, 2) && !test.takes(14, 2) && !test.takes(15, 1) && test.takes(16, 2));
        let resumed = test.header(FrameKind::Resumed, 17, 2);
        test.membership.resumed(&resumed);
        assert!(!test.takes(17, 0) && !test.takes(18, 2) && test.takes(18, 0));
        test.epoch = 1;
        assert!(!test.takes(19, 0));
        test.epoch = 2;
        assert!(test.takes(19, 0));
    }

    #[test]
    fn nobody_is_believed_before_he_has_repeated_the_nonce_of_now() {
        let mut test = test();
        test.membership.nonce = 70;
        let stranger = |approach| MembershipNews { stranger: Some(approach), ..MembershipNews::default() };
        assert_eq!(test.heartbeat(5), stranger(Approach::Greet));
        assert_eq!((test.receive(6, 0), test.membership.unproven(test.now)), (Receipt::Stranger, vec![NODE]));
        // Orders that others keep for the node are not forgotten meanwhile.
        assert_eq!((test.membership.acked_by_all(test.now), test.membership.instances().len()), (Some(0), 0));
        assert_eq!(test.greeting(6, 69), stranger(Approach::Wait));
        let news = test.greeting(6, 70);
        assert_eq!((news.came, news.resume, news.stranger), (Some(NODE), first_resume(), None));
        assert!(test.membership.unproven(test.now).is_empty() && test.membership.is_proven_at(NODE));
        assert!(!test.takes(7, 0) && test.takes(6, 1));

        // The other node may have gone while this one had no connection.
        test.membership.resume_all(test.now);
        let nonce = test.membership.nonce();
        assert_ne!(nonce, 70);
        assert_eq!(test.heartbeat(7), stranger(Approach::Greet));
        assert_eq!(test.receive(8, 2), Receipt::Stranger);
        assert_eq!(test.greeting(8, 70), stranger(Approach::Wait));
        assert_eq!(test.greeting(8, nonce), MembershipNews::default());
        assert!(test.takes(8, 2));

        // The other node may also have gone while it was silent.
        test.now += SILENCE * 2;
        test.membership.tidy(test.now);
        assert_eq!(test.heartbeat(8), stranger(Approach::Greet));
        assert_eq!(test.greeting(8, nonce).came, Some(NODE));

        // The greeting that the node is forgotten with is worthless afterwards.
        test.now += MEMORY;
        test.membership.tidy(test.now);
        assert_ne!(test.membership.nonce(), nonce);
        assert!(test.greeting(8, nonce).stranger.is_some());
    }

    #[test]
    fn whatever_comes_again_is_refused() {
        let mut test = test();
        test.meet(0);
        let kinds =
            [FrameKind::Query, FrameKind::Resume, FrameKind::Leave, FrameKind::Probe, FrameKind::Order];
        for kind in kinds {
            let header = test.header(kind, 1, 0);
            let receive = |test: &mut Test| test.membership.receive(&header, Bytes::new(), test.now);
            assert!(matches!(receive(&mut test), Receipt::Take(_)), "{kind:?}");
            assert_eq!(receive(&mut test), Receipt::Recorded, "{kind:?}");
        }
        test.heartbeat(1);
        let hear = |test: &mut Test, serial, proof| {
            let header = Header { serial, ..test.header(FrameKind::Greeting, 1, 0) };
            let heartbeat = test.own_heartbeat();
            test.membership.hear(&header, &heartbeat, proof, OWN, test.now)
        };
        for proof in [None, Some(Proof { nonce: 0, wants_answer: true })] {
            assert_eq!(
                hear(&mut test, 3, proof),
                MembershipNews { is_recorded: true, ..MembershipNews::default() }
            );
        }
    }

    #[test]
    fn each_other_server_of_nats_is_asked_through_a_node_that_is_heard() {
        let mut test = test();
        test.server = 7;
        test.meet(0);
        assert!(test.membership.servers(7, test.now).is_empty());
        assert_eq!(test.membership.servers(8, test.now), HashMap::from([(7, NODE)]));
        assert!(test.takes(1, 0));
        // An order that the silent node may have sent before it heard of a subscription is sent again.
        test.now += HEALTHY;
        assert!(test.membership.servers(8, test.now).is_empty());
        assert_eq!(test.receive(3, 0), Receipt::Resume(resume(2, 1).unwrap()));
        assert!(!test.takes(3, 0) && test.takes(2, 2) && test.takes(3, 2));
    }

    #[test]
    fn a_beat_that_is_missing_and_a_connection_of_ours_that_was_lost_ask_for_what_came_meanwhile() {
        let mut test = test();
        test.meet(1);
        test.heartbeats += 1;
        assert_eq!(test.heartbeat(7).resume, resume(2, 1));
        test.now += RESEND_PATIENCE / 2;
        assert_eq!(test.heartbeat(7).resume, None);
        test.now += RESEND_PATIENCE;
        assert_eq!(test.heartbeat(7).resume, resume(3, 1));
        let resumed = test.header(FrameKind::Resumed, 8, 3);
        test.membership.resumed(&resumed);
        assert_eq!(test.membership.resume_all(test.now), [resume(4, 8).unwrap()]);
    }

    #[test]
    fn who_has_not_listened_for_long_may_have_missed_a_node_that_it_has_never_heard() {
        let mut test = test();
        let start = test.now;
        assert!(test.membership.may_have_missed(NODE, start));
        test.membership.resume_all(start);
        assert!(test.membership.may_have_missed(NODE, start + SILENCE - Duration::from_millis(1)));
        assert!(!test.membership.may_have_missed(NODE, start + SILENCE));
        test.membership.resume_all(start + SILENCE);
        assert!(test.membership.may_have_missed(NODE, start + SILENCE));
        test.meet(1);
        test.membership.leave(1);
        assert!(!test.membership.may_have_missed(NODE, start + SILENCE));
    }

    #[test]
    fn the_silent_are_gone_and_remembered() {
        let mut test = test();
        test.meet(4);
        test.now += SILENCE * 2;
        let gone = test.membership.tidy(test.now);
        assert_eq!(gone.into_iter().map(|(_, node)| node).collect::<Vec<_>>(), [NODE]);
        assert_eq!(
            (test.membership.instance_at(NODE), test.membership.acked_by_all(test.now)),
            (None, Some(5))
        );
        assert_eq!(test.membership.acked_by_all(test.now + PATIENCE_FOR_SILENT), None);
        test.heartbeats += 3;
        let nonce = test.membership.nonce();
        let news = test.greeting(9, nonce);
        assert_eq!((news.came, news.resume), (Some(NODE), resume(2, 4)));
        assert!(test.membership.absent_of(vec![1]).is_empty());
        assert_eq!(test.membership.leave(1), Some(NODE));
        assert_eq!(test.membership.absent_of(vec![1, 2]), [1, 2]);
        test.now += MEMORY;
        test.membership.tidy(test.now);
        assert!(test.membership.sightings(test.now).is_empty());
    }

    #[test]
    fn another_process_takes_the_place_of_one() {
        let mut test = test();
        test.meet(0);
        test.instance = 2;
        assert_eq!(test.heartbeat(0).gone, None);
        let news = test.meet(0);
        assert_eq!(
            (news.came, news.gone, test.membership.instance_at(NODE)),
            (Some(NODE), Some(NODE), Some(2))
        );
        assert_eq!(test.membership.sightings(test.now).len(), 2);
    }

    #[test]
    fn who_is_not_there_makes_room_for_who_comes() {
        let mut test = test();
        for instance in 1..=MAX_PEERS as u64 {
            test.instance = instance;
            test.meet(0);
        }
        let nonce = test.membership.nonce();
        test.instance = 0;
        assert_eq!(test.meet(0).came, Some(NODE));
        assert_eq!(test.membership.by_instance.len(), MAX_PEERS);
        assert_ne!(test.membership.nonce(), nonce);
    }
}
