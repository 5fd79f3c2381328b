//! The other nodes: who is there, and how much of what each has sent has come.

use std::cmp::Ordering;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use gateway_wire::bridge::frame::MAX_REPLY;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::frame::{Header, Kind};
use crate::ops::clock::seconds_since_epoch;

/// How often a node says that it is there.
pub(super) const BEAT: Duration = Duration::from_millis(500);
/// A node that has said nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(5);
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
/// By which the clocks of two nodes may differ. What was recorded longer ago nobody takes for news.
const SKEW: u64 = 15 * 60;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Beat {
    pub(super) node: SocketAddrV4,
    /// Counts the beats of a connection upwards from 1.
    pub(super) count: u64,
    /// Up to which number it has got everything of each instance.
    pub(super) taken: Vec<(u64, u64)>,
    pub(super) clients: u64,
    /// Seconds since the Unix epoch.
    pub(super) time: u64,
}

#[derive(Default)]
pub(super) struct Peers {
    by_instance: HashMap<u64, Peer>,
    /// Of the last wish.
    wishes: u32,
}

struct Peer {
    node: SocketAddrV4,
    epoch: u32,
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

/// Of a frame, to the connection of which its sender was last heard.
enum Epoch {
    Former,
    Same,
    /// What it sent at the end of the one before may not have come.
    New,
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
    Resume(Wish),
    /// It is nobody's that is known.
    Stranger,
}

/// That a node send again what came after a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) node: SocketAddrV4,
    /// Another process at that address has other numbers.
    pub(super) instance: u64,
    pub(super) again: u32,
    pub(super) after: u64,
    /// And not before so long ago.
    pub(super) within: Duration,
}

/// What a beat has brought to light.
#[derive(Debug, Default, PartialEq)]
pub(super) struct News {
    pub(super) came: Option<SocketAddrV4>,
    /// Replaced by the one that came.
    pub(super) gone: Option<SocketAddrV4>,
    pub(super) resume: Option<Wish>,
    /// By how many seconds its clock is wrong, or ours; nothing else was taken of it then.
    pub(super) skew: Option<u64>,
}

impl Peers {
    /// For all frames but beats. Parts are put together.
    pub(super) fn receive(&mut self, header: &Header, body: Bytes, now: Instant) -> Receipt {
        let Some(peer) = self.by_instance.get_mut(&header.instance) else { return Receipt::Stranger };
        match peer.meet_epoch(header) {
            Epoch::Former => return Receipt::Ignore,
            Epoch::New => return Receipt::Resume(peer.resume(header.instance, &mut self.wishes, now)),
            Epoch::Same => {}
        }
        let Some(body) = peer.put_together(header, body) else { return Receipt::Ignore };
        if !header.kind.is_numbered() {
            return Receipt::Take(body);
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

    pub(super) fn beat(&mut self, header: &Header, beat: &Beat, own: Own, now: Instant) -> News {
        let time = seconds_since_epoch();
        if beat.time.abs_diff(time) > SKEW {
            return News { skew: Some(beat.time.abs_diff(time)), ..News::default() };
        }
        let mut news = News::default();
        if !self.by_instance.contains_key(&header.instance) {
            if self.by_instance.len() == MAX_PEERS {
                return news;
            }
            for before in self.by_instance.values_mut().filter(|peer| peer.node == beat.node) {
                before.has_left = true;
                if std::mem::take(&mut before.is_member) {
                    news.gone = Some(before.node);
                }
            }
            let mut peer = Peer::new(header, beat, now);
            // What it sent since there are clients here concerns them, heard of or not.
            if header.number > 0 {
                let wish = peer.resume(header.instance, &mut self.wishes, now);
                news.resume = Some(Wish { within: own.age + ON_THE_WAY, ..wish });
            }
            self.by_instance.insert(header.instance, peer);
        }
        let Some(peer) = self.by_instance.get_mut(&header.instance) else { return news };
        if (header.epoch, beat.count) < (peer.epoch, peer.beats) {
            // Somebody has kept it.
            return news;
        }
        peer.has_left = false;
        if !peer.is_member {
            peer.is_member = true;
            news.came = Some(peer.node);
        }
        (peer.heard, peer.clients) = (now, beat.clients);
        let of_us = beat.taken.iter().find(|(instance, _)| *instance == own.instance);
        peer.has_taken = of_us.map_or(peer.has_taken, |(_, taken)| peer.has_taken.max(*taken));
        let is_new = matches!(peer.meet_epoch(header), Epoch::New);
        let has_gap = is_new || beat.count > peer.beats + 1;
        let is_stuck = |resuming: &Resuming| now.duration_since(resuming.progress) > PATIENCE;
        if has_gap || peer.resuming.as_ref().is_some_and(is_stuck) {
            news.resume = Some(peer.resume(header.instance, &mut self.wishes, now));
        } else if peer.resuming.is_none() {
            // All that it sent before has come before.
            peer.taken = peer.taken.max(header.number);
        }
        peer.beats = beat.count;
        news
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
    pub(super) fn resume_all(&mut self, now: Instant) -> Vec<Wish> {
        let Self { by_instance, wishes } = self;
        let peers = by_instance.iter_mut().filter(|(_, peer)| !peer.has_left);
        peers
            .map(|(instance, peer)| {
                peer.heard = now;
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
        self.by_instance.retain(|_, peer| now.duration_since(peer.heard) < MEMORY);
        let silent = self
            .by_instance
            .values_mut()
            .filter(|peer| peer.is_member && now.duration_since(peer.heard) > SILENCE);
        silent
            .map(|peer| {
                peer.is_member = false;
                peer.unfinished = None;
                peer.node
            })
            .collect()
    }

    /// What all have got of us that are there, or have been lately: `None` when there is nobody.
    pub(super) fn taken_by_all(&self, now: Instant) -> Option<u64> {
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
    fn new(header: &Header, beat: &Beat, now: Instant) -> Self {
        Self {
            node: beat.node,
            epoch: header.epoch,
            taken: 0,
            beats: beat.count.saturating_sub(1),
            heard: now,
            is_member: false,
            has_left: false,
            clients: beat.clients,
            has_taken: 0,
            resuming: None,
            unfinished: None,
        }
    }

    fn meet_epoch(&mut self, header: &Header) -> Epoch {
        match header.epoch.cmp(&self.epoch) {
            Ordering::Less => Epoch::Former,
            Ordering::Equal => Epoch::Same,
            Ordering::Greater => {
                self.epoch = header.epoch;
                self.beats = 0;
                self.unfinished = None;
                Epoch::New
            }
        }
    }

    fn resume(&mut self, instance: u64, wishes: &mut u32, now: Instant) -> Wish {
        *wishes = wishes.checked_add(1).unwrap_or(1);
        self.resuming = Some(Resuming { again: *wishes, progress: now });
        Wish { node: self.node, instance, again: *wishes, after: self.taken, within: Duration::MAX }
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
        matches!(self.kind, Kind::Beat | Kind::Hello)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(10, 0, 0, 1), 1238);

    const OWN: Own = Own { instance: 9, age: Duration::from_secs(3) };

    fn wish(again: u32, after: u64) -> Option<Wish> {
        Some(Wish { node: NODE, instance: 1, again, after, within: Duration::MAX })
    }

    struct Test {
        peers: Peers,
        now: Instant,
        epoch: u32,
        beats: u64,
    }

    impl Test {
        fn header(&self, kind: Kind, number: u64, again: u32) -> Header {
            Header { kind, instance: 1, epoch: self.epoch, number, again, has_more: false, is_first: true }
        }

        fn beat(&mut self, number: u64) -> News {
            self.beats += 1;
            let time = seconds_since_epoch();
            let beat = Beat { node: NODE, count: self.beats, taken: vec![(9, 5)], clients: 3, time };
            self.peers.beat(&self.header(Kind::Beat, number, 0), &beat, OWN, self.now)
        }

        /// It is heard of for the first time, and all that was asked for then has come.
        fn meet(&mut self, number: u64) -> News {
            let news = self.beat(number);
            self.peers.resumed(&self.header(Kind::Resumed, number, 1));
            news
        }

        fn takes(&mut self, number: u64, again: u32) -> bool {
            let header = self.header(Kind::Order, number, again);
            matches!(self.peers.receive(&header, Bytes::new(), self.now), Receipt::Take(_))
        }
    }

    fn test() -> Test {
        Test { peers: Peers::default(), now: Instant::now(), epoch: 1, beats: 0 }
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
    fn of_one_that_is_met_what_concerns_clients_here_is_wanted() {
        let mut test = test();
        assert!(!test.takes(1, 0));
        assert_eq!(test.beat(2).resume, wish(1, 0).map(|wish| Wish { within: OWN.age + ON_THE_WAY, ..wish }));
        assert!(!test.takes(3, 0) && test.takes(2, 1));
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
        test.peers.resumed(&test.header(Kind::Resumed, 8, 3));
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
        let news = test.beat(9);
        assert_eq!((news.came, news.resume), (Some(NODE), wish(2, 4)));
        assert_eq!(test.peers.leave(1), Some(NODE));
        test.now += MEMORY;
        test.peers.tidy(test.now);
        assert!(test.peers.sightings(test.now).is_empty());
    }

    #[test]
    fn parts_come_together_only_if_all_come() {
        let mut test = test();
        test.beat(0);
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
    fn another_process_takes_the_place_of_one_and_old_beats_are_none() {
        let mut test = test();
        test.beat(0);
        let header = Header { instance: 2, ..test.header(Kind::Beat, 0, 0) };
        let mut beat = Beat { node: NODE, count: 1, taken: vec![], clients: 0, time: seconds_since_epoch() };
        let news = test.peers.beat(&header, &beat, OWN, test.now);
        assert_eq!((news.came, news.gone, test.peers.instance_at(NODE)), (Some(NODE), Some(NODE), Some(2)));
        beat.time -= 2 * SKEW;
        let header = Header { instance: 3, ..header };
        assert!(test.peers.beat(&header, &beat, OWN, test.now).skew.is_some());
        assert_eq!(test.peers.sightings(test.now).len(), 2);
    }
}
