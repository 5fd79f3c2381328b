//! The other nodes: who is there, and how much of what each has sent has come.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use gateway_wire::bridge::frame::MAX_REPLY;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::frame::{Header, Kind};

/// How often a node says that it is there.
pub(super) const BEAT: Duration = Duration::from_millis(500);
/// A node that has said nothing for so long is gone.
pub(super) const SILENCE: Duration = Duration::from_secs(5);
/// How long what came from a node is remembered, should it come back.
const MEMORY: Duration = Duration::from_secs(3600);
/// Nodes that are remembered.
const MAX_PEERS: usize = 4096;
/// How long sending again may pause before it is asked for anew.
const PATIENCE: Duration = Duration::from_secs(2);
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
}

struct Peer {
    node: SocketAddrV4,
    epoch: u32,
    /// Everything up to this number has come.
    taken: u64,
    beats: u64,
    heard: Instant,
    is_member: bool,
    clients: u64,
    /// What it has got of us.
    has_taken: u64,
    /// It is to send again what may have been missed; when something of that came last.
    resuming: Option<Instant>,
    unfinished: Option<Unfinished>,
}

/// A frame of which more parts are to come.
struct Unfinished {
    header: Header,
    body: BytesMut,
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
    /// The node is to send again what came after this number.
    Resume {
        node: SocketAddrV4,
        after: u64,
    },
    /// It is nobody's that is known.
    Stranger,
}

/// What a beat has brought to light.
#[derive(Debug, Default, PartialEq)]
pub(super) struct News {
    pub(super) came: Option<SocketAddrV4>,
    /// Replaced by the one that came.
    pub(super) gone: Option<SocketAddrV4>,
    pub(super) resume: Option<(SocketAddrV4, u64)>,
    /// By how many seconds its clock is wrong, or ours; nothing else was taken of it then.
    pub(super) skew: Option<u64>,
}

impl Peers {
    /// For all frames but beats. Parts are put together.
    pub(super) fn receive(&mut self, header: &Header, body: Bytes, now: Instant) -> Receipt {
        let Some(peer) = self.by_instance.get_mut(&header.instance) else { return Receipt::Stranger };
        if let Some(resume) = peer.meet_epoch(header, now) {
            return resume;
        }
        let Some(body) = peer.put_together(header, body) else { return Receipt::Ignore };
        if !header.kind.is_numbered() {
            return Receipt::Take(body);
        }
        match (&mut peer.resuming, header.is_again) {
            (Some(progress), true) => *progress = now,
            // It comes again.
            (Some(_), false) => return Receipt::Ignore,
            (None, _) => {}
        }
        if header.number <= peer.taken {
            return Receipt::Ignore;
        }
        peer.taken = header.number;
        Receipt::Take(body)
    }

    pub(super) fn beat(&mut self, header: &Header, beat: &Beat, own: u64, now: Instant) -> News {
        let time = seconds_since_epoch();
        if beat.time.abs_diff(time) > SKEW {
            return News { skew: Some(beat.time.abs_diff(time)), ..News::default() };
        }
        let mut news = News::default();
        if !self.by_instance.contains_key(&header.instance) {
            if self.by_instance.len() == MAX_PEERS {
                return news;
            }
            let same = self.by_instance.values_mut().find(|peer| peer.node == beat.node && peer.is_member);
            if let Some(before) = same {
                before.is_member = false;
                news.gone = Some(before.node);
            }
            self.by_instance.insert(header.instance, Peer::new(header, beat, now));
        }
        let Some(peer) = self.by_instance.get_mut(&header.instance) else { return news };
        if !peer.is_member {
            peer.is_member = true;
            news.came = Some(peer.node);
        }
        (peer.heard, peer.clients) = (now, beat.clients);
        let of_us = beat.taken.iter().find(|(instance, _)| *instance == own);
        peer.has_taken = of_us.map_or(peer.has_taken, |(_, taken)| peer.has_taken.max(*taken));
        match peer.meet_epoch(header, now) {
            Some(Receipt::Resume { node, after }) => news.resume = Some((node, after)),
            Some(_) => return news,
            None if beat.count > peer.beats + 1 => news.resume = Some(peer.resume(now)),
            None if peer.resuming.is_some_and(|since| now.duration_since(since) > PATIENCE) => {
                news.resume = Some(peer.resume(now));
            }
            // All that it sent before has come before.
            None if peer.resuming.is_none() => peer.taken = peer.taken.max(header.number),
            None => {}
        }
        peer.beats = beat.count;
        news
    }

    /// All that was asked for has come again.
    pub(super) fn resumed(&mut self, header: &Header) {
        if let Some(peer) = self.by_instance.get_mut(&header.instance) {
            peer.taken = peer.taken.max(header.number);
            peer.resuming = None;
        }
    }

    /// Our connection was lost: everybody is to send again what we may have missed.
    pub(super) fn resume_all(&mut self, now: Instant) -> Vec<(SocketAddrV4, u64)> {
        let peers = self.by_instance.values_mut();
        peers
            .map(|peer| {
                peer.heard = now;
                peer.unfinished = None;
                peer.resume(now)
            })
            .collect()
    }

    /// Gives its address, if it was there.
    pub(super) fn leave(&mut self, instance: u64) -> Option<SocketAddrV4> {
        let peer = self.by_instance.get_mut(&instance)?;
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

    /// What all that are there have got of us: `None` when there is nobody.
    pub(super) fn taken_by_all(&self) -> Option<u64> {
        self.members().map(|(_, peer)| peer.has_taken).min()
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
    /// All that came before it is met for the first time is not for us.
    fn new(header: &Header, beat: &Beat, now: Instant) -> Self {
        Self {
            node: beat.node,
            epoch: header.epoch,
            taken: header.number,
            beats: beat.count - 1,
            heard: now,
            is_member: false,
            clients: beat.clients,
            has_taken: 0,
            resuming: None,
            unfinished: None,
        }
    }

    /// What it sent at the end of a connection that was lost may not have come.
    fn meet_epoch(&mut self, header: &Header, now: Instant) -> Option<Receipt> {
        if header.epoch < self.epoch {
            return Some(Receipt::Ignore);
        }
        if header.epoch == self.epoch {
            return None;
        }
        self.epoch = header.epoch;
        self.beats = 0;
        self.unfinished = None;
        let (node, after) = self.resume(now);
        Some(Receipt::Resume { node, after })
    }

    fn resume(&mut self, now: Instant) -> (SocketAddrV4, u64) {
        self.resuming = Some(now);
        (self.node, self.taken)
    }

    fn put_together(&mut self, header: &Header, body: Bytes) -> Option<Bytes> {
        if header.is_first && !header.has_more {
            return Some(body);
        }
        let is_next = |unfinished: &Unfinished| {
            let first = &unfinished.header;
            (first.kind, first.number, first.is_again) == (header.kind, header.number, header.is_again)
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

pub(super) fn seconds_since_epoch() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(10, 0, 0, 1), 1238);

    struct Test {
        peers: Peers,
        now: Instant,
        epoch: u32,
        beats: u64,
    }

    impl Test {
        fn header(&self, kind: Kind, number: u64, is_again: bool) -> Header {
            Header { kind, instance: 1, epoch: self.epoch, number, is_again, has_more: false, is_first: true }
        }

        fn beat(&mut self, number: u64) -> News {
            self.beats += 1;
            let time = seconds_since_epoch();
            let beat = Beat { node: NODE, count: self.beats, taken: vec![(9, 5)], clients: 3, time };
            self.peers.beat(&self.header(Kind::Beat, number, false), &beat, 9, self.now)
        }

        fn takes(&mut self, number: u64, is_again: bool) -> bool {
            let header = self.header(Kind::Order, number, is_again);
            matches!(self.peers.receive(&header, Bytes::new(), self.now), Receipt::Take(_))
        }
    }

    fn test() -> Test {
        Test { peers: Peers::default(), now: Instant::now(), epoch: 1, beats: 0 }
    }

    #[test]
    fn each_number_is_taken_once_and_in_order() {
        let mut test = test();
        assert!(!test.takes(1, false));
        assert_eq!(test.beat(5).came, Some(NODE));
        assert_eq!(test.peers.taken_by_all(), Some(5));
        assert!(
            !test.takes(5, false) && test.takes(6, false) && !test.takes(6, false) && test.takes(9, false)
        );
        assert_eq!(test.beat(12), News::default());
        assert_eq!(test.peers.taken(), [(1, 12)]);

        // Its connection was lost.
        test.epoch = 2;
        test.beats = 0;
        assert_eq!(test.beat(15).resume, Some((NODE, 12)));
        assert!(!test.takes(16, false));
        assert!(test.takes(14, true) && !test.takes(14, true) && test.takes(16, true));
        let resumed = test.header(Kind::Resumed, 17, false);
        test.peers.resumed(&resumed);
        assert!(!test.takes(17, false) && test.takes(18, false));
        test.epoch = 1;
        assert!(!test.takes(19, false));
        test.epoch = 2;
        assert!(test.takes(19, false));
    }

    #[test]
    fn a_beat_that_is_missing_and_a_connection_of_ours_that_was_lost_ask_for_what_came_meanwhile() {
        let mut test = test();
        test.beat(1);
        test.beats += 1;
        assert_eq!(test.beat(7).resume, Some((NODE, 1)));
        test.now += PATIENCE / 2;
        assert_eq!(test.beat(7).resume, None);
        test.now += PATIENCE;
        assert_eq!(test.beat(7).resume, Some((NODE, 1)));
        test.peers.resumed(&test.header(Kind::Resumed, 8, false));
        assert_eq!(test.peers.resume_all(test.now), [(NODE, 8)]);
    }

    #[test]
    fn the_silent_are_gone_and_remembered() {
        let mut test = test();
        test.beat(4);
        test.now += SILENCE * 2;
        assert_eq!(test.peers.tidy(test.now), [NODE]);
        assert_eq!((test.peers.instance_at(NODE), test.peers.taken_by_all()), (None, None));
        test.beats += 3;
        let news = test.beat(9);
        assert_eq!((news.came, news.resume), (Some(NODE), Some((NODE, 4))));
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
            let header = Header { is_first, has_more, ..test.header(Kind::Order, number, false) };
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
        let header = Header { instance: 2, ..test.header(Kind::Beat, 0, false) };
        let mut beat = Beat { node: NODE, count: 1, taken: vec![], clients: 0, time: seconds_since_epoch() };
        let news = test.peers.beat(&header, &beat, 9, test.now);
        assert_eq!((news.came, news.gone, test.peers.instance_at(NODE)), (Some(NODE), Some(NODE), Some(2)));
        beat.time -= 2 * SKEW;
        let header = Header { instance: 3, ..header };
        assert!(test.peers.beat(&header, &beat, 9, test.now).skew.is_some());
        assert_eq!(test.peers.sightings(test.now).len(), 2);
    }
}
