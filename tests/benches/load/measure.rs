//! The measurements: what a fleet of clients does with a server, and which figures come of it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway_tests::PATIENCE;

use crate::contender::Running;
use crate::fleet::Fleet;
use crate::frames::{BINARY, PING, PONG, TEXT, push_masked};
use crate::publisher::{Publisher, Target};
use crate::quiet;

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
}

/// The time from when a message was due until it arrived, in seconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// A server, a fleet of clients that is connected to it, and a publisher.
pub(crate) struct Place {
    pub(crate) server: Running,
    pub(crate) fleet: Fleet,
    pub(crate) publisher: Publisher,
    /// The topic of each client, unless all clients share one.
    pub(crate) topics: Vec<String>,
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
        })
    }
}

impl Place {
    fn meter(&self) -> anyhow::Result<Meter> {
        Meter::start(&self.server, self.fleet.idle)
    }

    fn stop(&self, meter: Meter, events: usize) -> anyhow::Result<Figures> {
        meter.stop(&self.server, self.fleet.idle, events)
    }

    /// Waits for input, and gives how many data frames came.
    fn receive(&mut self) -> anyhow::Result<usize> {
        let mut received = 0;
        let turn = self.fleet.turn(|_, _, opcode| received += usize::from(is_data(opcode)))?;
        if turn.control {
            self.publisher.drain()?;
        }
        Ok(received)
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
        let targets = self.topics.len().max(1);
        for target in 0..targets {
            let target = self.topics.get(target).map_or(Target::All, |topic| Target::One(topic));
            self.publisher.publish(target, b"warm up")?;
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

    /// Sends this many messages a second to all clients, each at its time, whether or not the earlier ones have arrived.
    pub(crate) fn paced(
        &mut self,
        size: usize,
        messages_a_second: u32,
        time: Duration,
    ) -> anyhow::Result<Figures> {
        let message = vec![b'x'; size];
        let clients = self.fleet.clients.len();
        let pause = Duration::from_secs(1) / messages_a_second;
        let messages = time.div_duration_f64(pause) as usize;
        let mut latencies = Vec::with_capacity(messages * clients);
        for client in &mut self.fleet.clients {
            client.messages = 0;
        }
        let meter = self.meter()?;
        let mut published = 0;
        while latencies.len() < messages * clients {
            while published < messages && meter.start.elapsed() >= pause * published as u32 {
                self.publisher.publish(Target::All, &message)?;
                published += 1;
            }
            self.publisher.flush()?;
            let turn = self.fleet.turn(|_, client, opcode| {
                if is_data(opcode) {
                    latencies.push(meter.start.elapsed() - pause * client.messages as u32);
                    client.messages += 1;
                }
            })?;
            if turn.control {
                self.publisher.drain()?;
            }
            anyhow::ensure!(meter.start.elapsed() < time + PATIENCE, "paced messages do not come");
        }
        let figures = self.stop(meter, latencies.len())?;
        latencies.sort_unstable();
        let at = |share: f64| latencies[(share * (latencies.len() - 1) as f64) as usize].as_secs_f64();
        Ok(Figures { latency: Some(Latency { p50: at(0.5), p99: at(0.99) }), ..figures })
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

fn is_data(opcode: u8) -> bool {
    matches!(opcode, TEXT | BINARY)
}
