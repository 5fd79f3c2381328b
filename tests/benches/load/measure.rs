//! The measurements: what a fleet of clients does with a server, and which figures come of it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway_tests::PATIENCE;
use gateway_wire::client_protocol::{Control, Init, SeenAfter};

use crate::contender::Contender;
use crate::fleet::{self, Fleet};
use crate::frames::{self, BINARY, PING, PONG, TEXT, push_masked};
use crate::handshake;
use crate::latency::Latency;
use crate::publisher::{Publisher, SHARED, Target};
use crate::running::Running;
use crate::{quiet, session};

/// The figures of one run.
#[derive(Clone, Copy, Default)]
pub(crate) struct Figures {
    /// The rate in events a second, or the memory in bytes for each connection.
    pub(crate) value: f64,
    /// The CPU seconds that the server took for a million events.
    pub(crate) cpu: f64,
    /// The shares of the time in which the server and the generator were at work.
    pub(crate) server_load: f64,
    pub(crate) generator_load: f64,
    /// The share of one core that other processes took.
    pub(crate) others: f64,
    pub(crate) latency: Option<Latency>,
    /// The number of segments in which each client got what was for it, where that is looked at.
    pub(crate) segments: Option<f64>,
    /// The number of pings that each client got in a minute, where that is looked at.
    pub(crate) pings: Option<f64>,
}

/// A server, a fleet of clients that is connected to it, and a publisher.
pub(crate) struct Place {
    pub(crate) server: Running,
    pub(crate) fleet: Fleet,
    pub(crate) publisher: Publisher,
    /// The topic of each client, unless all clients share one.
    pub(crate) topics: Vec<String>,
    /// The secrets by which clients of `gateway.2` come back, or none.
    pub(crate) secrets: Vec<String>,
    /// The number of messages after which a client of `gateway.2` says what it has seen.
    pub(crate) tells_after: usize,
    /// The server's memory in bytes when only the first few clients were connected.
    pub(crate) first_memory: u64,
}

/// The times when a measurement began, from which its end is reckoned.
pub(crate) struct Meter {
    pub(crate) start: Instant,
    server: Duration,
    own: Duration,
    busy: Duration,
    idle: Option<Duration>,
}

impl Meter {
    /// Begins a measurement; `idle` is the time so far in which nothing came to a generator that never sleeps.
    pub(crate) fn start(server: &Running, idle: Option<Duration>) -> anyhow::Result<Self> {
        let (busy, own) = (quiet::busy()?, quiet::own()?);
        Ok(Self { busy, own, server: server.cpu()?, idle, start: Instant::now() })
    }

    pub(crate) fn stop(
        self,
        server: &Running,
        idle: Option<Duration>,
        events: usize,
    ) -> anyhow::Result<Figures> {
        let elapsed = self.start.elapsed();
        let seconds = elapsed.as_secs_f64();
        let cpu = server.cpu()? - self.server;
        let own = quiet::own()? - self.own;
        let others = (quiet::busy()? - self.busy).saturating_sub(cpu + own);
        let worked = match self.idle.zip(idle) {
            Some((before, now)) => elapsed.saturating_sub(now - before),
            None => own,
        };
        Ok(Figures {
            value: events as f64 / seconds,
            cpu: cpu.as_secs_f64() / events as f64 * 1e6,
            server_load: cpu.div_duration_f64(elapsed),
            generator_load: worked.div_duration_f64(elapsed),
            others: others.div_duration_f64(elapsed),
            latency: None,
            segments: None,
            pings: None,
        })
    }
}

impl Place {
    pub(crate) fn meter(&self) -> anyhow::Result<Meter> {
        Meter::start(&self.server, self.fleet.idle)
    }

    pub(crate) fn stop(&self, meter: Meter, events: usize) -> anyhow::Result<Figures> {
        meter.stop(&self.server, self.fleet.idle, events)
    }

    /// Waits for input, and gives how many data frames came.
    fn receive(&mut self) -> anyhow::Result<usize> {
        let mut received = 0;
        let (counts, tells_after, mut due) = (!self.secrets.is_empty(), self.tells_after, Vec::new());
        let turn = self.fleet.turn(|key, client, opcode| {
            received += usize::from(is_data(opcode));
            if counts && is_data(opcode) {
                client.taken += 1;
                if client.taken - client.told >= tells_after {
                    client.told = client.taken;
                    due.push((client.taken, key));
                }
            }
        })?;
        if turn.control {
            self.publisher.drain()?;
        }
        self.tell(due)?;
        Ok(received)
    }

    /// Makes clients of `gateway.2` say what they have seen: each by its key, with its number of messages.
    fn tell(&mut self, mut due: Vec<(usize, usize)>) -> anyhow::Result<()> {
        due.sort_unstable();
        for same in due.chunk_by(|one, other| one.0 == other.0) {
            let keys: Vec<_> = same.iter().map(|(_, key)| *key).collect();
            let mut frame = Vec::new();
            push_masked(&mut frame, TEXT, Control::Seen(same[0].0 as u64).to_string().as_bytes());
            self.fleet.send(&keys, &frame)?;
        }
        Ok(())
    }

    /// Makes all clients of `gateway.2` say what they have seen.
    pub(crate) fn tell_all(&mut self) -> anyhow::Result<()> {
        let clients = self.fleet.clients.iter_mut().enumerate();
        let due = clients.map(|(key, client)| {
            client.told = client.taken;
            (client.taken, key)
        });
        let due = due.collect();
        self.tell(due)
    }

    /// Waits until `expected` more messages have come.
    fn receive_all(&mut self, expected: usize) -> anyhow::Result<()> {
        let mut missing = expected;
        let start = Instant::now();
        while missing > 0 {
            missing = missing.checked_sub(self.receive()?).context("more came than was sent")?;
            anyhow::ensure!(start.elapsed() < PATIENCE, "{missing} of {expected} messages do not come");
        }
        Ok(())
    }

    /// Sends a message to every client, and waits until all have got it.
    pub(crate) fn warm_up(&mut self) -> anyhow::Result<()> {
        self.fleet.expect(frames::unmasked(WARM_UP).len());
        let targets = self.topics.len().max(1);
        for target in 0..targets {
            let target = self.topics.get(target).map_or(Target::All, |topic| Target::One(topic));
            self.publisher.publish(target, WARM_UP)?;
            // Each topic is waited for by itself, because the first message to a topic may cost more.
            if matches!(target, Target::One(_)) {
                self.publisher.flush()?;
                self.receive_all(1)?;
            }
        }
        self.publisher.flush()?;
        if self.topics.is_empty() { self.receive_all(self.fleet.clients.len()) } else { Ok(()) }
    }

    /// Sends messages of `size` bytes to all clients, `in_flight` at a time; each delivery is an event.
    pub(crate) fn fan_out(
        &mut self,
        size: usize,
        in_flight: usize,
        time: Duration,
    ) -> anyhow::Result<Figures> {
        let message = vec![b'x'; size];
        let clients = self.fleet.clients.len();
        self.tells_after = SeenAfter::PAGE.bytes.div_ceil(size).min(SeenAfter::PAGE.messages as usize);
        self.fleet.expect(frames::unmasked(&message).len());
        let meter = self.meter()?;
        let (mut published, mut delivered) = (0, 0);
        while meter.start.elapsed() < time {
            while published < delivered / clients + in_flight {
                self.publisher.publish(Target::All, &message)?;
                published += 1;
            }
            self.publisher.flush()?;
            delivered += self.receive()?;
        }
        self.receive_all(published * clients - delivered)?;
        self.stop(meter, published * clients)
    }

    /// Sends messages to one client each, `in_flight` at a time.
    pub(crate) fn unicast(
        &mut self,
        size: usize,
        in_flight: usize,
        time: Duration,
    ) -> anyhow::Result<Figures> {
        // With this step, clients that follow each other in time are far from each other in memory.
        const STRIDE: usize = 7919;
        let message = vec![b'x'; size];
        let meter = self.meter()?;
        let (mut published, mut delivered) = (0, 0);
        while meter.start.elapsed() < time {
            while published < delivered + in_flight {
                let topic = &self.topics[published * STRIDE % self.topics.len()];
                self.publisher.publish(Target::One(topic), &message)?;
                published += 1;
            }
            self.publisher.flush()?;
            delivered += self.receive()?;
        }
        self.receive_all(published - delivered)?;
        self.stop(meter, published)
    }

    /// Makes each client send a ping or a message as soon as its last one has come back.
    pub(crate) fn echo(&mut self, pings: bool, size: usize, time: Duration) -> anyhow::Result<Figures> {
        let (sent, awaited) = if pings { (PING, PONG) } else { (TEXT, TEXT) };
        let mut frame = Vec::new();
        push_masked(&mut frame, sent, &vec![b'x'; size]);
        let meter = self.meter()?;
        let mut due: Vec<usize> = (0..self.fleet.clients.len()).collect();
        let (mut returned, mut under_way) = (0, 0);
        while under_way > 0 || !due.is_empty() {
            self.fleet.send(&due, &frame)?;
            under_way += due.len();
            due.clear();
            let is_over = meter.start.elapsed() >= time;
            self.fleet.turn(|key, _, opcode| {
                if opcode == awaited {
                    returned += 1;
                    under_way -= 1;
                    due.extend(Some(key).filter(|_| !is_over));
                }
            })?;
            anyhow::ensure!(meter.start.elapsed() < time + PATIENCE, "{under_way} echoes do not come");
        }
        self.stop(meter, returned)
    }

    /// Cuts the connections of all clients, and has them connect again. Those of `gateway.2` come back, and get `missed` messages
    /// that were sent meanwhile; the others are new clients.
    pub(crate) fn come_back(&mut self, missed: usize) -> anyhow::Result<Figures> {
        let (contender, server) = (self.server.contender, self.server.websocket.clone());
        let comes_back = contender == Contender::Gateway2;
        let clients = self.fleet.clients.len();
        let taken: Vec<_> = self.fleet.clients.iter().map(|client| client.taken).collect();
        self.fleet.clients.clear();
        let path = contender.path(SHARED);
        let request = |client: usize| match self.secrets.get(client) {
            None => handshake::request(server.address, &path),
            Some(secret) => {
                let offers = format!("gateway.2, gateway.resume.{secret}.{}", taken[client]);
                handshake::request_with(server.address, &path, &offers)
            }
        };
        let requests: Vec<_> = (0..clients).map(request).collect();
        if comes_back {
            self.server.wait_for_parked(clients)?;
            for _ in 0..missed {
                self.publisher.publish(Target::All, &[b'x'; MISSED_SIZE])?;
            }
            self.publisher.flush()?;
            // Nothing says when the server has kept them all, except that it is idle.
            let mut before = Duration::MAX;
            while before != self.server.cpu()? {
                before = self.server.cpu()?;
                std::thread::sleep(QUIET);
            }
        }
        let meter = self.meter()?;
        let greetings = self.fleet.connect(&server, requests, true)?;
        self.fleet.read_all(|client, opcode| client.taken += usize::from(is_data(opcode)))?;
        while comes_back && self.fleet.clients.iter().any(|client| client.taken < missed) {
            self.fleet.turn(|_, client, opcode| client.taken += usize::from(is_data(opcode)))?;
            anyhow::ensure!(meter.start.elapsed() < PATIENCE, "missed messages do not come");
        }
        let mut segments = 0;
        if comes_back {
            for (client, (greeting, taken)) in self.fleet.clients.iter_mut().zip(greetings.iter().zip(taken))
            {
                let init: Init = serde_json::from_slice(fleet::payload(greeting)?)?;
                anyhow::ensure!(init.resumed && init.missed == missed as u64, "{init:?} is no return");
                anyhow::ensure!(client.taken == missed, "{} messages came again", client.taken);
                client.taken += taken;
                // The answer to the request is one of them.
                segments += client.segments()? - 1;
            }
            self.tell_all()?;
        }
        let figures = self.stop(meter, clients)?;
        self.secrets = session::secrets(contender, &greetings)?;
        let segments = comes_back.then(|| f64::from(segments) / clients as f64);
        Ok(Figures { segments, ..figures })
    }

    /// Lets all clients go, and gives the bytes that the server has kept for each.
    pub(crate) fn gone(&mut self) -> anyhow::Result<Figures> {
        let clients = self.fleet.clients.len();
        self.fleet.clients.clear();
        std::thread::sleep(LEAVE);
        let kept = self.server.memory()?.saturating_sub(self.first_memory);
        Ok(Figures { value: kept as f64 / clients as f64, ..Figures::default() })
    }
}

/// The time after which a server has noticed that all clients have gone, and has given memory back: ours looks every ten
/// seconds.
const LEAVE: Duration = Duration::from_secs(12);

/// The time in which a server that takes no processor time is idle.
const QUIET: Duration = Duration::from_millis(50);

/// The message with which a scenario begins.
const WARM_UP: &[u8] = b"warm up";

/// The payload in bytes of the messages that clients miss.
const MISSED_SIZE: usize = 64;

pub(crate) fn is_data(opcode: u8) -> bool {
    matches!(opcode, TEXT | BINARY)
}
