//! The other nodes: who is there, and how much of what each has sent has come.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use gateway_wire::bridge::frame::MAX_REPLY;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::frame::{Header, Kind};
use super::strangers::{Approach, Strangers};

/// How often a node says that it is there.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(500);
/// A node that has said nothing for so long is gone.
pub(super) const SILENCE: Duration = Duration::from_secs(5);
/// Whoever was heard of so lately may be slow, and others then wait for him.
const HEALTHY: Duration = Duration::from_millis(1500);
/// How long others keep for a silent node what it has not got.
const PATIENCE_FOR_SILENT: Duration = Duration::from_secs(60);
/// How long what came from a node is remembered, should it come back.
const MEMORY: Duration = Duration::from_secs(3600);
/// Nodes that are remembered.
const MAX_PEERS: usize = 4096;
/// How long sending again may pause before it is asked for anew.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a wish may take to its node.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// How often a node has sent again what it asks for.
const RESENDING: Duration = HEARTBEAT;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Heartbeat {
    pub(super) node: SocketAddrV4,
    /// Counts the beats of a connection upwards from 1.
    pub(super) count: u64,
    /// Up to which number it has got everything of each instance.
    pub(super) taken: Vec<(u64, u64)>,
    pub(super) clients: u64,
    /// Another one for each connection. A greeting repeats it, and so was made after it was drawn.
    pub(super) nonce: u64,
    /// Tells the server of NATS to which it is connected from others.
    pub(super) server: u64,
}

impl Default for Heartbeat {
    fn default() -> Self {
        let node = SocketAddrV4::new(std::net::Ipv4Addr::UNSPECIFIED, 0);
        Self { node, count: 0, taken: Vec::new(), clients: 0, nonce: 0, server: 0 }
    }
}

/// A beat for one node, that shows that its sender lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Greeting {
    pub(super) beat: Heartbeat,
    /// The instance that is greeted, and its nonce.
    pub(super) to: u64,
    pub(super) nonce: u64,
    /// It has not shown its sender that it lives.
    pub(super) wants_answer: bool,
}

/// What a greeting adds to its beat, for the node that is greeted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof {
    pub(super) nonce: u64,
    pub(super) wants_answer: bool,
}

#[derive(Default)]
pub(super) struct Membership {
    by_instance: HashMap<u64, Peer>,
    strangers: Strangers,
    /// The nonce that a living node repeats. It is drawn anew whenever a node may have gone of which nothing is known any more, so that greetings
    /// that it has sent are worth nothing.
    nonce: u64,
    /// Of the last wish.
    wishes: u32,
    /// When a node of another release was heard.
    other_release: Option<Instant>,
}

struct Peer {
    node: SocketAddrV4,
    epoch: u32,
    /// The serial number of its last frame. A frame with no higher one has come before, and somebody sends it again.
    serial: u64,
    /// It has shown that it lives, and has not been out of sight since.
    is_proven: bool,
    /// What it sent may have gone past this node, as it may not have heard of a subscription.
    is_doubtful: bool,
    /// The server of NATS to which it is connected.
    server: u64,
    /// Everything up to this number has come.
    taken: u64,
    beats: u64,
    heard: Instant,
    is_member: bool,
    /// It said so, or another process has its address.
    has_left: bool,
    clients: u64,
    /// What it has got of us.
    has_taken: u64,
    /// It is to send again what may have been missed.
    resuming: Option<Resuming>,
    /// When it was last sent again what it had asked for, and what it has asked for since.
    resent: Option<Instant>,
    asked: Option<Resend>,
    unfinished: Option<Unfinished>,
}

struct Resuming {
    /// The number of the wish. What answers an earlier one has gaps.
    again: u32,
    /// When something of it came last.
    progress: Instant,
}

/// A frame of which more parts are to come.
struct Unfinished {
    header: Header,
    body: BytesMut,
}

/// This node, to itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub(super) instance: u64,
    pub(super) age: Duration,
}

/// How a frame follows on those that came before it of the same process.
enum Follows {
    /// It is of a connection that its sender has no more.
    Late,
    /// It came before.
    Recorded,
    InOrder,
    /// It is of a new connection: what was sent at the end of the one before may not have come.
    Anew,
}

/// A node, as others show it.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub instance: u64,
    pub node: SocketAddrV4,
    pub clients: u64,
    pub silent_for: Duration,
    /// It has been heard of lately.
    pub is_member: bool,
}

/// What is to be done about a frame.
#[derive(Debug, PartialEq)]
pub(super) enum Receipt {
    Take(Bytes),
    /// It came before, or will come again.
    Ignore,
    /// The node is to send again what it has sent.
    Resume(ResendRequest),
    /// It is nobody's that is known to live.
    Stranger,
    /// It came before: somebody sends what he has recorded.
    Recorded,
}

/// That a node send again what came after a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResendRequest {
    pub(super) node: SocketAddrV4,
    /// Another process at that address has other numbers.
    pub(super) instance: u64,
    pub(super) again: u32,
    pub(super) after: u64,
    /// And not before so long ago.
    pub(super) within: Duration,
}

/// What a node asks for: all after a number, and not before so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resend {
    pub(super) again: u32,
    pub(super) after: u64,
    pub(super) within: Duration,
}

/// What a beat has brought to light.
#[derive(Debug, Default, PartialEq)]
pub(super) struct News {
    pub(super) came: Option<SocketAddrV4>,
    /// Replaced by the one that came.
    pub(super) gone: Option<SocketAddrV4>,
    pub(super) resume: Option<ResendRequest>,
    /// The node is not known to live; nothing else was taken of the beat then.
    pub(super) stranger: Option<Approach>,
    /// It came before; nothing was taken of it either.
    pub(super) is_recorded: bool,
}

impl Membership {
    /// With numbers that nobody can have recorded.
    pub(super) fn new() -> Self {
        Self { nonce: draw(0), wishes: draw(0) as u32, ..Self::default() }
    }

    pub(super) fn nonce(&self) -> u64 {
        self.nonce
    }

    /// For all frames but those that say who their sender is. Parts are put together.
    pub(super) fn receive(&mut self, header: &Header, body: Bytes, now: Instant) -> Receipt {
        let peer = self.by_instance.get_mut(&header.instance).filter(|peer| peer.is_proven);
        let Some(peer) = peer else { return Receipt::Stranger };
        match peer.follow(header) {
            Follows::Late => return Receipt::Ignore,
            Follows::Recorded => return Receipt::Recorded,
            Follows::Anew => return Receipt::Resume(peer.resume(header.instance, &mut self.wishes, now)),
            Follows::InOrder => {}
        }
        let Some(body) = peer.put_together(header, body) else { return Receipt::Ignore };
        if !header.kind.is_numbered() {
            return Receipt::Take(body);
        }
        if peer.is_doubtful {
            return Receipt::Resume(peer.resume(header.instance, &mut self.wishes, now));
        }
        match &mut peer.resuming {
            Some(resuming) if resuming.again == header.again => resuming.progress = now,
            None if header.again == 0 => {}
            // It comes again, or has come.
            _ => return Receipt::Ignore,
        }
        if header.number <= peer.taken {
            return Receipt::Ignore;
        }
        peer.taken = header.number;
        Receipt::Take(body)
    }

    /// Hears who a node says that it is. `proof` comes with a greeting to this node.
    pub(super) fn hear(
        &mut self,
        header: &Header,
        beat: &Heartbeat,
        proof: Option<Proof>,
        own: Own,
        now: Instant,
    ) -> News {
        let mut news = News::default();
        let is_proof = proof.is_some_and(|proof| proof.nonce == self.nonce);
        let known = self.by_instance.get(&header.instance);
        if !is_proof && !known.is_some_and(|peer| peer.is_proven) {
            news.stranger = Some(self.strangers.hear(header.instance, beat, now));
            return news;
        }
        let is_new = known.is_none();
        if is_new {
            if self.by_instance.len() == MAX_PEERS && !self.make_room() {
                // All of them are there.
                news.stranger = Some(Approach::Suspect);
                return news;
            }
            for before in self.by_instance.values_mut().filter(|peer| peer.node == beat.node) {
                (before.has_left, before.is_proven) = (true, false);
                if std::mem::take(&mut before.is_member) {
                    news.gone = Some(before.node);
                }
            }
            self.by_instance.insert(header.instance, Peer::new(header, beat, now));
        }
        let Some(peer) = self.by_instance.get_mut(&header.instance) else { return news };
        let is_anew = match peer.follow(header) {
            Follows::Late => return news,
            Follows::Recorded => return News { is_recorded: true, ..news },
            Follows::InOrder => false,
            Follows::Anew => true,
        };
        self.strangers.forget(header.instance);
        let is_back = !std::mem::replace(&mut peer.is_proven, true);
        peer.has_left = false;
        if !peer.is_member {
            peer.is_member = true;
            news.came = Some(peer.node);
        }
        (peer.heard, peer.clients, peer.server) = (now, beat.clients, beat.server);
        let of_us = beat.taken.iter().find(|(instance, _)| *instance == own.instance);
        peer.has_taken = of_us.map_or(peer.has_taken, |(_, taken)| peer.has_taken.max(*taken));
        let has_gap = is_anew || peer.is_doubtful || beat.count > peer.beats + 1;
        let is_stuck = |resuming: &Resuming| now.duration_since(resuming.progress) > PATIENCE;
        // What it did not know whom to send to, it has not heard either.
        let is_unasked = is_back && peer.resuming.is_none() || proof.is_some_and(|proof| proof.wants_answer);
        if has_gap || is_unasked || peer.resuming.as_ref().is_some_and(is_stuck) {
            let wish = peer.resume(header.instance, &mut self.wishes, now);
            // What a new node sent since there are clients here concerns them.
            let within = if is_new { own.age + ON_THE_WAY } else { wish.within };
            news.resume = Some(ResendRequest { within, ..wish });
        } else if peer.resuming.is_none() {
            // All that it sent before has come before.
            peer.taken = peer.taken.max(header.number);
        }
        peer.beats = beat.count;
        for (instance, _) in &beat.taken {
            self.strangers.vouch(*instance, now);
        }
        news
    }

    /// Forgets the one that has been silent for longest. Whether there was one that is not there.
    fn make_room(&mut self) -> bool {
        let absent = self.by_instance.iter().filter(|(_, peer)| !peer.is_member);
        let Some(instance) = absent.min_by_key(|(_, peer)| peer.heard).map(|(instance, _)| *instance) else {
            return false;
        };
        self.by_instance.remove(&instance);
        self.nonce = draw(self.nonce);
        true
    }

    /// Nodes that are heard and have not shown that they live, so that without them nothing is whole.
    pub(super) fn unproven(&self, now: Instant) -> Vec<SocketAddrV4> {
        let mut nodes: Vec<_> = self.strangers.waited_for(now).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    pub(super) fn hear_other_release(&mut self, now: Instant) {
        self.other_release = Some(now);
    }

    /// Whether nodes of another release are in the cluster, which know other clients.
    pub(super) fn hears_other_release(&self, now: Instant) -> bool {
        self.other_release.is_some_and(|heard| now.duration_since(heard) < SILENCE)
    }

    /// A node wants something sent again: gives where to, or keeps the wish for [`Membership::due`] if it has just been served.
    pub(super) fn asks(&mut self, instance: u64, resend: Resend, now: Instant) -> Option<SocketAddrV4> {
        let peer = self.by_instance.get_mut(&instance)?;
        if peer.resent.is_some_and(|resent| now.duration_since(resent) < RESENDING) {
            // It has given up what it asked for before.
            peer.asked = Some(resend);
            return None;
        }
        peer.asked = None;
        peer.resent = Some(now);
        Some(peer.node)
    }

    /// What was asked for too soon, and may be sent by now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(SocketAddrV4, Resend)> {
        let is_due = |peer: &&mut Peer| peer.resent.is_none_or(|resent| now - resent >= RESENDING);
        let due = self.by_instance.values_mut().filter(is_due);
        due.filter_map(|peer| {
            let resend = peer.asked.take()?;
            peer.resent = Some(now);
            Some((peer.node, resend))
        })
        .collect()
    }

    /// The servers of NATS to which other nodes are connected, this node's `own` aside, each with one of its nodes. What those
    /// send which are too silent to be asked is wanted again when they are heard.
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

    /// All that was asked for has come again.
    pub(super) fn resumed(&mut self, header: &Header) {
        let peer = self.by_instance.get_mut(&header.instance);
        let answers =
            |peer: &&mut Peer| peer.resuming.as_ref().is_some_and(|resuming| resuming.again == header.again);
        if let Some(peer) = peer.filter(answers) {
            peer.taken = peer.taken.max(header.number);
            peer.resuming = None;
        }
    }

    /// Our connection was lost: everybody is to send again what we may have missed.
    pub(super) fn resume_all(&mut self, now: Instant) -> Vec<ResendRequest> {
        self.nonce = draw(self.nonce);
        let Self { by_instance, wishes, .. } = self;
        let peers = by_instance.iter_mut().filter(|(_, peer)| !peer.has_left);
        peers
            .map(|(instance, peer)| {
                peer.heard = now;
                // Who has gone meanwhile was not heard to go.
                peer.is_proven = false;
                peer.unfinished = None;
                peer.resume(*instance, wishes, now)
            })
            .collect()
    }

    /// Gives its address, if it was there.
    pub(super) fn leave(&mut self, instance: u64) -> Option<SocketAddrV4> {
        let peer = self.by_instance.get_mut(&instance)?;
        peer.has_left = true;
        std::mem::take(&mut peer.is_member).then_some(peer.node)
    }

    /// Those that have been silent for too long.
    pub(super) fn tidy(&mut self, now: Instant) -> Vec<SocketAddrV4> {
        let known = self.by_instance.len();
        self.by_instance.retain(|_, peer| now.duration_since(peer.heard) < MEMORY);
        if self.by_instance.len() < known {
            self.nonce = draw(self.nonce);
        }
        let silent = self
            .by_instance
            .values_mut()
            .filter(|peer| peer.is_member && now.duration_since(peer.heard) > SILENCE);
        silent
            .map(|peer| {
                (peer.is_member, peer.is_proven) = (false, false);
                peer.unfinished = None;
                peer.node
            })
            .collect()
    }

    /// What all have got of us that are there, or have been lately: `None` when there is nobody.
    pub(super) fn taken_by_all(&self, now: Instant) -> Option<u64> {
        if self.strangers.waited_for(now).next().is_some() {
            return Some(0);
        }
        let may_return =
            |peer: &&Peer| !peer.has_left && now.duration_since(peer.heard) < PATIENCE_FOR_SILENT;
        self.by_instance.values().filter(may_return).map(|peer| peer.has_taken).min()
    }

    /// What those have got of us for whom others can wait: `None` when there is nobody.
    pub(super) fn taken_by_the_healthy(&self, now: Instant) -> Option<u64> {
        let is_healthy = |peer: &&Peer| now.duration_since(peer.heard) < HEALTHY;
        self.members().map(|(_, peer)| peer).filter(is_healthy).map(|peer| peer.has_taken).min()
    }

    /// For a beat.
    pub(super) fn taken(&self) -> Vec<(u64, u64)> {
        self.members().map(|(instance, peer)| (*instance, peer.taken)).collect()
    }

    pub(super) fn instances(&self) -> Vec<u64> {
        self.members().map(|(instance, _)| *instance).collect()
    }

    /// Of those that are there.
    pub(super) fn instance_at(&self, node: SocketAddrV4) -> Option<u64> {
        self.members().find(|(_, peer)| peer.node == node).map(|(instance, _)| *instance)
    }

    /// Whether a node is there and has shown that it lives.
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

impl Peer {
    fn new(header: &Header, beat: &Heartbeat, now: Instant) -> Self {
        Self {
            node: beat.node,
            epoch: header.epoch,
            serial: 0,
            is_proven: false,
            is_doubtful: false,
            server: beat.server,
            taken: 0,
            beats: beat.count.saturating_sub(1),
            heard: now,
            is_member: false,
            has_left: false,
            clients: beat.clients,
            has_taken: 0,
            resuming: None,
            resent: None,
            asked: None,
            unfinished: None,
        }
    }

    fn follow(&mut self, header: &Header) -> Follows {
        if header.epoch < self.epoch {
            return Follows::Late;
        }
        if header.serial <= self.serial {
            return Follows::Recorded;
        }
        self.serial = header.serial;
        if header.epoch == self.epoch {
            return Follows::InOrder;
        }
        self.epoch = header.epoch;
        self.beats = 0;
        self.unfinished = None;
        Follows::Anew
    }

    fn resume(&mut self, instance: u64, wishes: &mut u32, now: Instant) -> ResendRequest {
        *wishes = wishes.checked_add(1).unwrap_or(1);
        self.is_doubtful = false;
        self.resuming = Some(Resuming { again: *wishes, progress: now });
        ResendRequest { node: self.node, instance, again: *wishes, after: self.taken, within: Duration::MAX }
    }

    fn put_together(&mut self, header: &Header, body: Bytes) -> Option<Bytes> {
        if header.is_first && !header.has_more {
            return Some(body);
        }
        let is_next = |unfinished: &Unfinished| {
            let first = &unfinished.header;
            (first.kind, first.number, first.again) == (header.kind, header.number, header.again)
        };
        if header.is_first {
            self.unfinished = Some(Unfinished { header: *header, body: BytesMut::from(&body[..]) });
            return None;
        }
        // One whose beginning did not come, as nobody here was interested then, is none.
        let unfinished = self.unfinished.as_mut().filter(|unfinished| is_next(unfinished))?;
        if unfinished.body.len() + body.len() > MAX_REPLY {
            self.unfinished = None;
            return None;
        }
        unfinished.body.extend_from_slice(&body);
        if header.has_more {
            return None;
        }
        self.unfinished.take().map(|unfinished| unfinished.body.freeze())
    }
}

impl Header {
    /// Whether it says who its sender is.
    pub(super) fn is_introduction(&self) -> bool {
        matches!(self.kind, Kind::Heartbeat | Kind::Hello | Kind::Greeting)
    }
}

/// A number that was not used before.
fn draw(before: u64) -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        // Nobody has to be unable to guess it.
        Err(_) => before.wrapping_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(10, 0, 0, 1), 1238);

    const OWN: Own = Own { instance: 9, age: Duration::from_secs(3) };

    fn wish(again: u32, after: u64) -> Option<ResendRequest> {
        Some(ResendRequest { node: NODE, instance: 1, again, after, within: Duration::MAX })
    }

    /// The numbers that are wanted of a node that is new.
    fn first_wish() -> Option<ResendRequest> {
        wish(1, 0).map(|wish| ResendRequest { within: OWN.age + ON_THE_WAY, ..wish })
    }

    struct Test {
        peers: Membership,
        now: Instant,
        instance: u64,
        epoch: u32,
        serial: u64,
        beats: u64,
        server: u64,
    }

    impl Test {
        fn header(&mut self, kind: Kind, number: u64, again: u32) -> Header {
            self.serial += 1;
            let (instance, epoch, serial) = (self.instance, self.epoch, self.serial);
            Header { kind, instance, epoch, serial, number, again, has_more: false, is_first: true }
        }

        fn own_beat(&self) -> Heartbeat {
            let taken = vec![(OWN.instance, 5)];
            Heartbeat { node: NODE, count: self.beats, taken, clients: 3, nonce: 0, server: self.server }
        }

        fn beat(&mut self, number: u64) -> News {
            self.beats += 1;
            let (header, beat) = (self.header(Kind::Heartbeat, number, 0), self.own_beat());
            self.peers.hear(&header, &beat, None, OWN, self.now)
        }

        fn greeting(&mut self, number: u64, nonce: u64) -> News {
            let (header, beat) = (self.header(Kind::Greeting, number, 0), self.own_beat());
            let proof = Some(Proof { nonce, wants_answer: false });
            self.peers.hear(&header, &beat, proof, OWN, self.now)
        }

        /// It shows that it lives, and all that is asked for then has come.
        fn meet(&mut self, number: u64) -> News {
            let news = self.greeting(number, self.peers.nonce());
            let again = news.resume.map_or(0, |wish| wish.again);
            let resumed = self.header(Kind::Resumed, number, again);
            self.peers.resumed(&resumed);
            news
        }

        fn receive(&mut self, number: u64, again: u32) -> Receipt {
            let header = self.header(Kind::Order, number, again);
            self.peers.receive(&header, Bytes::new(), self.now)
        }

        fn takes(&mut self, number: u64, again: u32) -> bool {
            matches!(self.receive(number, again), Receipt::Take(_))
        }
    }

    fn test() -> Test {
        let (peers, now) = (Membership::default(), Instant::now());
        Test { peers, now, instance: 1, epoch: 1, serial: 0, beats: 0, server: 0 }
    }

    #[test]
    fn each_number_is_taken_once_and_in_order() {
        let mut test = test();
        assert!(!test.takes(1, 0));
        assert_eq!(test.meet(5).came, Some(NODE));
        assert_eq!(test.peers.taken_by_all(test.now), Some(5));
        assert!(!test.takes(5, 0) && test.takes(6, 0) && !test.takes(6, 0) && test.takes(9, 0));
        assert_eq!(test.beat(12), News::default());
        assert_eq!(test.peers.taken(), [(1, 12)]);

        // Its connection was lost.
        test.epoch = 2;
        test.beats = 0;
        assert_eq!(test.beat(15).resume, wish(2, 12));
        assert!(!test.takes(16, 0));
        assert!(test.takes(14, 2) && !test.takes(14, 2) && !test.takes(15, 1) && test.takes(16, 2));
        let resumed = test.header(Kind::Resumed, 17, 2);
        test.peers.resumed(&resumed);
        assert!(!test.takes(17, 0) && !test.takes(18, 2) && test.takes(18, 0));
        test.epoch = 1;
        assert!(!test.takes(19, 0));
        test.epoch = 2;
        assert!(test.takes(19, 0));
    }

    #[test]
    fn nobody_is_believed_before_he_has_repeated_the_nonce_of_now() {
        let mut test = test();
        test.peers.nonce = 70;
        let stranger = |approach| News { stranger: Some(approach), ..News::default() };
        assert_eq!(test.beat(5), stranger(Approach::Greet));
        assert_eq!((test.receive(6, 0), test.peers.unproven(test.now)), (Receipt::Stranger, vec![NODE]));
        // What others keep for it is not thrown away meanwhile.
        assert_eq!((test.peers.taken_by_all(test.now), test.peers.instances().len()), (Some(0), 0));
        assert_eq!(test.greeting(6, 69), stranger(Approach::Wait));
        let news = test.greeting(6, 70);
        assert_eq!((news.came, news.resume, news.stranger), (Some(NODE), first_wish(), None));
        assert!(test.peers.unproven(test.now).is_empty() && test.peers.is_proven_at(NODE));
        assert!(!test.takes(7, 0) && test.takes(6, 1));

        // While this node had no connection the other may have gone.
        test.peers.resume_all(test.now);
        let nonce = test.peers.nonce();
        assert_ne!(nonce, 70);
        assert_eq!(test.beat(7), stranger(Approach::Greet));
        assert_eq!(test.receive(8, 2), Receipt::Stranger);
        assert_eq!(test.greeting(8, 70), stranger(Approach::Wait));
        assert_eq!(test.greeting(8, nonce), News::default());
        assert!(test.takes(8, 2));

        // And while it was not heard.
        test.now += SILENCE * 2;
        test.peers.tidy(test.now);
        assert_eq!(test.beat(8), stranger(Approach::Greet));
        assert_eq!(test.greeting(8, nonce).came, Some(NODE));

        // What it is forgotten with is worth nothing any more.
        test.now += MEMORY;
        test.peers.tidy(test.now);
        assert_ne!(test.peers.nonce(), nonce);
        assert!(test.greeting(8, nonce).stranger.is_some());
    }

    #[test]
    fn whatever_comes_again_is_refused() {
        let mut test = test();
        test.meet(0);
        let kinds = [Kind::Query, Kind::Resume, Kind::Leave, Kind::Probe, Kind::Order];
        for kind in kinds {
            let header = test.header(kind, 1, 0);
            let receive = |test: &mut Test| test.peers.receive(&header, Bytes::new(), test.now);
            assert!(matches!(receive(&mut test), Receipt::Take(_)), "{kind:?}");
            assert_eq!(receive(&mut test), Receipt::Recorded, "{kind:?}");
        }
        test.beat(1);
        let hear = |test: &mut Test, serial, proof| {
            let header = Header { serial, ..test.header(Kind::Greeting, 1, 0) };
            let beat = test.own_beat();
            test.peers.hear(&header, &beat, proof, OWN, test.now)
        };
        for proof in [None, Some(Proof { nonce: 0, wants_answer: true })] {
            assert_eq!(hear(&mut test, 3, proof), News { is_recorded: true, ..News::default() });
        }
    }

    #[test]
    fn what_is_asked_for_again_at_once_waits() {
        let mut test = test();
        test.meet(0);
        let resend = |again| Resend { again, after: 0, within: Duration::MAX };
        assert_eq!(test.peers.asks(1, resend(1), test.now), Some(NODE));
        assert_eq!(test.peers.asks(1, resend(2), test.now), None);
        assert_eq!(test.peers.asks(1, resend(3), test.now), None);
        assert!(test.peers.due(test.now).is_empty());
        test.now += RESENDING;
        assert_eq!(test.peers.due(test.now), [(NODE, resend(3))]);
        assert!(test.peers.due(test.now + RESENDING).is_empty());
        assert_eq!(test.peers.asks(2, resend(1), test.now), None);
    }

    #[test]
    fn each_other_server_of_nats_is_asked_through_a_node_that_is_heard() {
        let mut test = test();
        test.server = 7;
        test.meet(0);
        assert!(test.peers.servers(7, test.now).is_empty());
        assert_eq!(test.peers.servers(8, test.now), HashMap::from([(7, NODE)]));
        assert!(test.takes(1, 0));
        // What it may have sent before it heard of a subscription, if it was too silent to be asked, comes again.
        test.now += HEALTHY;
        assert!(test.peers.servers(8, test.now).is_empty());
        assert_eq!(test.receive(3, 0), Receipt::Resume(wish(2, 1).unwrap()));
        assert!(!test.takes(3, 0) && test.takes(2, 2) && test.takes(3, 2));
    }

    #[test]
    fn a_beat_that_is_missing_and_a_connection_of_ours_that_was_lost_ask_for_what_came_meanwhile() {
        let mut test = test();
        test.meet(1);
        test.beats += 1;
        assert_eq!(test.beat(7).resume, wish(2, 1));
        test.now += PATIENCE / 2;
        assert_eq!(test.beat(7).resume, None);
        test.now += PATIENCE;
        assert_eq!(test.beat(7).resume, wish(3, 1));
        let resumed = test.header(Kind::Resumed, 8, 3);
        test.peers.resumed(&resumed);
        assert_eq!(test.peers.resume_all(test.now), [wish(4, 8).unwrap()]);
    }

    #[test]
    fn the_silent_are_gone_and_remembered() {
        let mut test = test();
        test.meet(4);
        test.now += SILENCE * 2;
        assert_eq!(test.peers.tidy(test.now), [NODE]);
        assert_eq!((test.peers.instance_at(NODE), test.peers.taken_by_all(test.now)), (None, Some(5)));
        assert_eq!(test.peers.taken_by_all(test.now + PATIENCE_FOR_SILENT), None);
        test.beats += 3;
        let nonce = test.peers.nonce();
        let news = test.greeting(9, nonce);
        assert_eq!((news.came, news.resume), (Some(NODE), wish(2, 4)));
        assert_eq!(test.peers.leave(1), Some(NODE));
        test.now += MEMORY;
        test.peers.tidy(test.now);
        assert!(test.peers.sightings(test.now).is_empty());
    }

    #[test]
    fn parts_come_together_only_if_all_come() {
        let mut test = test();
        test.meet(0);
        let mut part = |number, is_first, has_more, body: &'static [u8]| {
            let header = Header { is_first, has_more, ..test.header(Kind::Order, number, 0) };
            test.peers.receive(&header, Bytes::from_static(body), test.now)
        };
        assert_eq!(part(1, false, true, b"b"), Receipt::Ignore);
        assert_eq!(part(1, false, false, b"c"), Receipt::Ignore);
        assert_eq!(part(2, true, true, b"a"), Receipt::Ignore);
        assert_eq!(part(3, true, true, b"d"), Receipt::Ignore);
        assert_eq!(part(3, false, true, b"e"), Receipt::Ignore);
        assert_eq!(part(3, false, false, b"f"), Receipt::Take(Bytes::from_static(b"def")));
    }

    #[test]
    fn another_process_takes_the_place_of_one() {
        let mut test = test();
        test.meet(0);
        test.instance = 2;
        assert_eq!(test.beat(0).gone, None);
        let news = test.meet(0);
        assert_eq!((news.came, news.gone, test.peers.instance_at(NODE)), (Some(NODE), Some(NODE), Some(2)));
        assert_eq!(test.peers.sightings(test.now).len(), 2);
    }

    #[test]
    fn who_is_not_there_makes_room_for_who_comes() {
        let mut test = test();
        for instance in 1..=MAX_PEERS as u64 {
            test.instance = instance;
            test.meet(0);
        }
        let nonce = test.peers.nonce();
        test.instance = 0;
        assert_eq!(test.meet(0).came, Some(NODE));
        assert_eq!(test.peers.by_instance.len(), MAX_PEERS);
        assert_ne!(test.peers.nonce(), nonce);
    }
}
