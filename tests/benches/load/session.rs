//! A session: a server is started, a fleet connects to it, and one part after another is measured.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway_tests::PATIENCE;
use gateway_wire::client_protocol::{Control, Init, SeenAfter};

use crate::contender::{Contender, Mode, PING_INTERVAL};
use crate::fleet::{self, Fleet};
use crate::frames::{TEXT, push_masked};
use crate::handshake;
use crate::measure::{Figures, Place};
use crate::publisher::{Publisher, SHARED};
use crate::results::{Unit, thousands};
use crate::running::Running;

#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) clients: usize,
    /// True if each client has a topic of its own, which is a uid on our server.
    pub(crate) own_topics: bool,
    /// True if the servers and the generator use all cores.
    pub(crate) shared_cores: bool,
    pub(crate) mode: Mode,
    /// The other form of our server that is measured beside the usual one, and no other server.
    pub(crate) beside: Option<Contender>,
    pub(crate) parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Part {
    /// The memory of connections on which nothing happens.
    Idle,
    FanOut {
        size: usize,
        in_flight: usize,
    },
    Unicast {
        size: usize,
        in_flight: usize,
    },
    Ping,
    Echo,
    Paced {
        messages_a_second: u32,
    },
    /// The processor time of connections on which nothing happens but pings and pongs.
    Pinged,
    /// Clients that lose their connections and come back, with what they have missed.
    ComeBack {
        missed: usize,
    },
    /// The memory that is still held once all clients have gone; no other part can follow it.
    Gone,
}

/// The payload in bytes of messages that are echoed or paced.
const SIZE: usize = 64;
/// The number of clients that are connected before the memory is measured: the first ones cost more.
const FIRST: usize = 100;
/// The time between the last handshake and the first message.
const SETTLE: Duration = Duration::from_millis(200);

impl Part {
    pub(crate) fn runs_on(self, contender: Contender) -> bool {
        match self {
            // The loop differs from the plain one in its sends only.
            _ if contender == Contender::Ring => matches!(self, Self::FanOut { .. }),
            Self::Echo => contender.echoes(),
            Self::Pinged => contender.pings(),
            _ => true,
        }
    }

    pub(crate) fn measure(self, place: &mut Place, time: Duration) -> anyhow::Result<Figures> {
        match self {
            Self::Idle => anyhow::bail!("memory is looked at when the clients connect"),
            Self::FanOut { size, in_flight } => place.fan_out(size, in_flight, time),
            Self::Unicast { size, in_flight } => place.unicast(size, in_flight, time),
            Self::Ping => place.echo(true, SIZE, time),
            Self::Echo => place.echo(false, SIZE, time),
            Self::Paced { messages_a_second } => place.paced(SIZE, messages_a_second, time),
            Self::Pinged => place.pinged(time),
            Self::ComeBack { missed } => place.come_back(missed),
            Self::Gone => place.gone(),
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::Idle | Self::Gone => Unit::Bytes,
            Self::Pinged => Unit::IdleTime,
            _ => Unit::Rate,
        }
    }

    /// Gives the name of the part with this number of clients.
    pub(crate) fn label(self, clients: usize, own_topics: bool) -> String {
        let clients = thousands(clients as f64);
        match self {
            Self::Idle if own_topics => format!("idle, {clients} connections with a uid each"),
            Self::Idle => format!("idle, {clients} connections"),
            Self::Gone if own_topics => {
                format!("kept of {clients} connections with a uid each that have gone")
            }
            Self::Gone => format!("kept of {clients} connections that have gone"),
            Self::FanOut { size, in_flight } => {
                format!("fan-out to {clients}, {} B, {in_flight} in flight", thousands(size as f64))
            }
            Self::Unicast { size, in_flight } => {
                format!("unicast among {clients}, {size} B, {in_flight} in flight")
            }
            Self::ComeBack { missed } => {
                format!("{clients} clients come back, with {missed} missed messages each")
            }
            Self::Pinged => {
                format!("idle, {clients} connections with a ping every {} s", PING_INTERVAL.as_secs())
            }
            Self::Ping => format!("ping and pong, {clients} clients"),
            Self::Echo => format!("echo, {clients} clients"),
            Self::Paced { messages_a_second } => {
                format!("{messages_a_second} messages a second to {clients}")
            }
        }
    }
}

impl Session {
    pub(crate) fn label(&self, part: Part) -> String {
        let shared = if self.shared_cores { ", all cores for all" } else { "" };
        let tls = if self.mode == Mode::Tls { ", TLS" } else { "" };
        part.label(self.clients, self.own_topics) + tls + shared + self.beside()
    }

    /// Says what is measured beside what, behind other words.
    pub(crate) fn beside(&self) -> &'static str {
        match self.beside {
            None => "",
            Some(Contender::Store) => ", with and without a store",
            Some(Contender::Coalesce) => ", with and without coalesce",
            Some(_) => ", with and without gateway.2",
        }
    }

    /// A session with nothing special.
    pub(crate) fn of(clients: usize, parts: Vec<Part>) -> Self {
        let (own_topics, shared_cores, mode, beside) = (false, false, Mode::Plain, None);
        Self { clients, own_topics, shared_cores, mode, beside, parts }
    }

    /// Connects all clients, and also gives the memory that each of them took.
    pub(crate) fn open(&self, server: Running, spins: bool) -> anyhow::Result<(Place, Figures)> {
        let contender = server.contender;
        let mut publisher = server.publisher()?;
        let mut fleet = Fleet::new(spins)?;
        publisher.register(fleet.poll.registry())?;
        let topics = if self.own_topics { (0..self.clients).map(own_topic).collect() } else { Vec::new() };
        let (mut first_memory, mut secrets) = (0, Vec::new());
        let first = FIRST.min(self.clients);
        for range in [0..first, first..self.clients] {
            let request = |client: usize| {
                let path = contender.path(topics.get(client).map_or(SHARED, String::as_str));
                match contender {
                    Contender::Gateway2 => {
                        handshake::request_with(server.websocket.address, &path, "gateway.2")
                    }
                    _ => handshake::request(server.websocket.address, &path),
                }
            };
            let requests = range.clone().map(request);
            let greetings = fleet.connect(&server.websocket, requests, contender.greets())?;
            secrets.extend(self::secrets(contender, &greetings)?);
            if contender == Contender::Gateway2 {
                let mut frame = Vec::new();
                push_masked(&mut frame, TEXT, Control::Seen(0).to_string().as_bytes());
                fleet.send(&range.clone().collect::<Vec<_>>(), &frame)?;
            }
            let topic = |client: usize| topics.get(client).map_or(SHARED, String::as_str);
            join(&mut fleet, contender, range.clone().map(topic))?;
            if contender.is_ours() && self.own_topics {
                bind(&mut publisher, &greetings, &topics[range.clone()])?;
            }
            std::thread::sleep(SETTLE);
            if range.start == 0 {
                first_memory = server.memory()?;
            }
        }
        let grown = server.memory()?.saturating_sub(first_memory) as f64;
        let idle = Figures { value: grown / (self.clients - first).max(1) as f64, ..Figures::default() };

        let tells_after = SeenAfter::PAGE.messages as usize;
        let mut place = Place { server, fleet, publisher, topics, secrets, tells_after, first_memory };
        if self.parts.iter().any(|part| *part != Part::Idle) {
            place.warm_up()?;
        }
        Ok((place, idle))
    }
}

/// The secrets by which clients that were greeted so can come back; none unless they speak `gateway.2`.
pub(crate) fn secrets(contender: Contender, greetings: &[Vec<u8>]) -> anyhow::Result<Vec<String>> {
    if contender != Contender::Gateway2 {
        return Ok(Vec::new());
    }
    let secret = |greeting: &Vec<u8>| {
        let init: Init = serde_json::from_slice(fleet::payload(greeting)?)?;
        init.resume.context("a client that cannot come back")
    };
    greetings.iter().map(secret).collect()
}

/// Has the clients that came last, of which each has its topic here, ask for the messages of their topics where they have to, and waits for
/// the answers.
pub(crate) fn join<'a>(
    fleet: &mut Fleet,
    contender: Contender,
    topics: impl ExactSizeIterator<Item = &'a str>,
) -> anyhow::Result<()> {
    let (start, joining, mut answers) = (Instant::now(), topics.len(), 0);
    let first = fleet.clients.len() - joining;
    let mut frames: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
    for (client, topic) in topics.enumerate() {
        let Some(message) = contender.joins_by(topic) else { return Ok(()) };
        let mut frame = Vec::new();
        push_masked(&mut frame, TEXT, message.as_bytes());
        frames.entry(frame).or_default().push(first + client);
    }
    for (frame, clients) in frames {
        fleet.send(&clients, &frame)?;
    }
    while answers < joining {
        fleet.turn(|_, _, opcode| answers += usize::from(opcode == TEXT))?;
        anyhow::ensure!(start.elapsed() < PATIENCE, "{answers} of {joining} clients have joined");
    }
    Ok(())
}

pub(crate) fn own_topic(client: usize) -> String {
    format!("u{client}")
}

/// Binds the clients of our server, which are known by their greetings, to their uids.
pub(crate) fn bind(publisher: &mut Publisher, greetings: &[Vec<u8>], uids: &[String]) -> anyhow::Result<()> {
    for (greeting, uid) in greetings.iter().zip(uids) {
        let message: serde_json::Value = serde_json::from_slice(fleet::payload(greeting)?)?;
        publisher.bind(message["client_id"].as_str().unwrap_or_default().parse()?, uid)?;
    }
    publisher.flush()
}
