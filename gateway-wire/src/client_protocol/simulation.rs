//! Both ends against each other, over a wire that is cut at any moment: each message arrives once and in order, or the page is told of
//! a gap. Every run follows from its seed, which a failure names.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::ClientId;

/// A random generator (splitmix64), so that a run follows from its seed alone.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// The secrets of the client with this connection number.
fn secrets(client: u32) -> impl Fn(NonZeroU32) -> ResumeSecret {
    move |number| {
        let mut random = [0; 16];
        random[..4].copy_from_slice(&number.get().to_be_bytes());
        ResumeSecret::new(self::client(client), random)
    }
}

fn client(number: u32) -> ClientId {
    ClientId::new("127.0.0.1:1238".parse().unwrap(), number)
}

/// The text of a message with this number. Some look like control.
fn text(number: u64) -> String {
    match number % 5 {
        0 => format!("gateway:seen {number}"),
        1 => format!("gateway:= {number}"),
        _ => format!("message {number}"),
    }
}

fn number(text: &str) -> u64 {
    let number = text.rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(text, self::text(number));
    number
}

/// One connection: what is under way in both directions.
#[derive(Default)]
struct Wire {
    /// What goes to the page; an init stands at its start.
    init: Option<Init>,
    to_page: VecDeque<String>,
    to_server: VecDeque<String>,
}

/// The most unseen messages that the server keeps, so that runs reach it.
const KEPT: u64 = 40;

#[derive(Default)]
struct World {
    now: Duration,
    /// The client that the server has, with the connection number in its id.
    server: Option<(u32, ServerEnd<u64>)>,
    /// Why each client that was there before has ended, by its connection number less one.
    ended: Vec<GapReason>,
    page: ClientEnd<u64>,
    wire: Option<Wire>,
    /// The number of the last message that each side has sent.
    pushed: u64,
    said: u64,
    /// The number of the last message that the page's handlers got, and whether numbers may be missing before the next.
    heard: u64,
    may_miss: bool,
    /// The numbers that the application on the server got, in order.
    taken: Vec<u64>,
    /// The numbers that the page was told may be lost.
    unconfirmed: Vec<u64>,
    gaps: Vec<Option<GapReason>>,
    recovered: u64,
}

impl World {
    fn cut(&mut self) {
        self.wire = None;
        self.page.cut();
    }

    fn end(&mut self, reason: GapReason) {
        self.server = None;
        self.ended.push(reason);
        self.cut();
    }

    fn push(&mut self) {
        let Some((_, server)) = &mut self.server else { return };
        self.pushed += 1;
        server.send(self.pushed, 1, 8, |_| 8);
        if let Some(wire) = &mut self.wire {
            wire.to_page.push_back(escape(&text(self.pushed)).into_owned());
        }
        if server.kept() > KEPT {
            self.end(GapReason::Overflow);
        }
    }

    fn say(&mut self) {
        self.said += 1;
        if self.page.send(self.said) {
            let wire = self.wire.as_mut().unwrap();
            wire.to_server.push_back(escape(&text(self.said)).into_owned());
        }
    }

    /// A new connection, perhaps while the server believes in the old one.
    fn connect(&mut self, random: &mut Random) {
        self.page.cut();
        let offer = self.page.offer();
        // The offer goes over the wire as text.
        let offer =
            offer.map(|offer| ResumeOffer::from_subprotocol(&offer.to_subprotocol()).unwrap().unwrap());
        let resumed = match (&mut self.server, &offer) {
            (_, None) => Err(None),
            (Some((number, server)), Some(offer)) if offer.secret.client() == client(*number) => {
                server.resume(offer, secrets(*number), |_| 8).map_err(Some)
            }
            (_, Some(offer)) => Err(Some(self.ended[offer.secret.client().connection as usize - 1])),
        };
        let reason = resumed.err().flatten();
        if resumed.is_err() {
            if self.server.take().is_some() {
                // Its init has never reached the page.
                self.ended.push(GapReason::Expired);
            }
            let number = self.ended.len() as u32 + 1;
            let secret = NonZeroU32::new(random.next() as u32).unwrap_or(NonZeroU32::MIN);
            self.server = Some((number, ServerEnd::new(secret)));
        }
        let (number, server) = self.server.as_mut().unwrap();
        let next = secrets(*number)(server.latest_secret());
        let init = Init {
            client_id: next.client().to_string(),
            proof: String::new(),
            resume: Some(next.to_text()),
            seen: server.taken(),
            resumed: resumed.is_ok(),
            missed: server.missed(),
            reason,
        };
        let (skip, unseen) = server.unseen();
        assert_eq!(skip, 0, "no messages are joined here");
        let to_page = unseen.map(|(number, _)| escape(&text(*number)).into_owned()).collect();
        let init = serde_json::from_str(&serde_json::to_string(&init).unwrap()).unwrap();
        self.wire = Some(Wire { init: Some(init), to_page, to_server: VecDeque::new() });
    }

    fn page_receives(&mut self) {
        let Some(wire) = &mut self.wire else { return };
        if let Some(init) = wire.init.take() {
            let (opened, seen, messages) = self.page.open(&init).unwrap();
            wire.to_server.push_back(seen.to_string());
            wire.to_server.extend(messages.into_iter().map(|number| escape(&text(number)).into_owned()));
            match opened {
                Opened::First => self.may_miss = true,
                Opened::Recovered { missed } => {
                    assert_eq!(missed, init.missed);
                    self.recovered += 1;
                }
                Opened::Gap { reason, unconfirmed } => {
                    self.gaps.push(reason);
                    self.unconfirmed.extend(unconfirmed);
                    self.may_miss = true;
                }
            }
            return;
        }
        let Some(text) = wire.to_page.pop_front() else { return };
        let received = self.page.receive(&text, self.now).unwrap();
        wire.to_server.extend(received.reply.map(|reply| reply.to_string()));
        if let Some(message) = received.message {
            let number = number(message);
            let is_next = if self.may_miss { number > self.heard } else { number == self.heard + 1 };
            assert!(is_next, "{number} behind {}", self.heard);
            (self.heard, self.may_miss) = (number, false);
        }
    }

    fn server_receives(&mut self) {
        let (Some(wire), Some((_, server))) = (&mut self.wire, &mut self.server) else { return };
        let Some(text) = wire.to_server.pop_front() else { return };
        let received = server.receive(&text, self.now, |_| 8).unwrap();
        wire.to_page.extend(received.reply.map(|reply| reply.to_string()));
        self.taken.extend(received.message.map(number));
    }

    fn step(&mut self, random: &mut Random) {
        self.now += Duration::from_millis(random.below(300));
        match random.below(100) {
            0..20 => self.push(),
            20..35 => self.say(),
            35..60 => self.page_receives(),
            60..85 => self.server_receives(),
            85..90 => self.cut(),
            // Even while a connection is there, which the page has given up.
            90..98 => self.connect(random),
            98 => {
                if let (Some(wire), Some((_, server))) = (&mut self.wire, &mut self.server) {
                    wire.to_page.extend(server.due(self.now).map(|due| due.to_string()));
                    if wire.init.is_none() {
                        wire.to_server.extend(self.page.due(self.now).map(|due| due.to_string()));
                    }
                }
            }
            _ => match random.below(8) {
                0 if self.server.is_some() => self.end(GapReason::Restarted),
                1 if self.server.is_some() && self.wire.is_none() => self.end(GapReason::Expired),
                _ => {}
            },
        }
    }

    /// Lets everything that is under way arrive.
    fn settle(&mut self, random: &mut Random) {
        self.connect(random);
        while self
            .wire
            .as_ref()
            .is_some_and(|wire| wire.init.is_some() || !wire.to_page.is_empty() || !wire.to_server.is_empty())
        {
            self.page_receives();
            self.server_receives();
        }
    }

    fn check(&self) {
        assert!(
            self.taken.is_sorted_by(|one, next| one < next),
            "each of the page's messages once and in order"
        );
        let lost = (1..=self.said).filter(|number| self.taken.binary_search(number).is_err());
        for lost in lost {
            assert!(self.unconfirmed.contains(&lost), "{lost} is lost, and the page was not told");
        }
        if !self.may_miss {
            assert_eq!(self.heard, self.pushed, "all of the server's messages have come");
        }
        assert!(self.gaps.iter().all(|reason| reason.is_some_and(|reason| reason != GapReason::Unknown)));
    }
}

#[test]
fn nothing_is_lost_or_doubled_over_any_cuts() {
    let (mut recovered, mut gaps, mut heard) = (0, 0, 0);
    for seed in 0..500 {
        let named = std::panic::catch_unwind(|| {
            let mut random = Random(seed);
            let mut world = World::default();
            for _ in 0..random.below(600) {
                world.step(&mut random);
            }
            world.settle(&mut random);
            world.check();
            world
        });
        let world = named.unwrap_or_else(|_| panic!("seed {seed}"));
        recovered += world.recovered;
        gaps += world.gaps.len();
        heard += world.taken.len() as u64 + world.pushed;
    }
    assert!(recovered > 5_000 && gaps > 250 && heard > 25_000, "{recovered} {gaps} {heard}");
}
