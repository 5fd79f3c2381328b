//! A wave of reconnects: most clients of a server lose their connections at once and come back as fast as they can, while pushes to the
//! others go on.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway_tests::PATIENCE;
use nix::libc;

use crate::contender::{Contender, Mode};
use crate::cores::Cores;
use crate::fleet::Fleet;
use crate::handshake;
use crate::measure::is_data;
use crate::publisher::{Publisher, Target};
use crate::quiet::Patience;
use crate::results::{median, thousands};
use crate::running::Running;
use crate::seat::most_connections;
use crate::session::{bind, join, own_topic};

/// The word that chooses this measurement alone.
pub(crate) const WORD: &str = "wave";
/// The clients of a server, as many as a process may open files for here, and those of them that stay.
const CLIENTS: usize = 18_000;
const STAYING: usize = 500;
/// The pause between two pushes, each to one of those that stay, and the size of each.
const PAUSE: Duration = Duration::from_millis(1);
const SIZE: usize = 64;
/// How long pushes are watched before the wave.
const BEFORE: Duration = Duration::from_secs(3);
const COLUMNS: [&str; 7] = [
    "server",
    "clients that come back",
    "all have come after ms",
    "CPU µs each",
    "p50 of pushes ms, before / in the wave",
    "p99",
    "longest",
];

/// The figures of one server, each the median over the rounds.
pub(crate) struct Wave {
    contender: Contender,
    clients: usize,
    /// The seconds until the last of them had come back and, on our server, was bound to its uid again.
    time: f64,
    /// The processor time that the server took meanwhile for each, in microseconds, that for the pushes included.
    cpu: f64,
    before: Spread,
    during: Spread,
}

/// How long pushes took, in milliseconds.
#[derive(Clone, Copy)]
struct Spread {
    p50: f64,
    p99: f64,
    longest: f64,
}

/// Measures our server beside uWebSockets, Sockudo and the plain loop.
pub(crate) async fn measure(
    cores: Cores,
    is_quick: bool,
    patience: &mut Patience,
) -> anyhow::Result<Vec<Wave>> {
    let rounds = if is_quick { 1 } else { 5 };
    let clients = CLIENTS.min(most_connections()?);
    let mut all = Vec::new();
    for contender in [Contender::Ours, Contender::Plain, Contender::UWebSockets, Contender::Sockudo] {
        if let Some(reason) = contender.missing() {
            println!("SKIPPED {}: {reason}", contender.name());
            continue;
        }
        let mut waves = Vec::new();
        for round in 0..rounds {
            eprintln!("a wave of reconnects, {}, round {} of {rounds}", contender.name(), round + 1);
            patience.wait()?;
            waves.push(one(contender.start(cores, Mode::Plain).await?, clients - STAYING)?);
        }
        let over = |of: fn(&Wave) -> f64| median(waves.iter().map(of).collect()).unwrap_or_default();
        let spread = |of: fn(&Wave) -> Spread| {
            let over = |part: fn(Spread) -> f64| {
                median(waves.iter().map(|wave| part(of(wave))).collect()).unwrap_or_default()
            };
            Spread { p50: over(|one| one.p50), p99: over(|one| one.p99), longest: over(|one| one.longest) }
        };
        all.push(Wave {
            contender,
            clients: clients - STAYING,
            time: over(|wave| wave.time),
            cpu: over(|wave| wave.cpu),
            before: spread(|wave| wave.before),
            during: spread(|wave| wave.during),
        });
    }
    Ok(all)
}

fn one(server: Running, returning: usize) -> anyhow::Result<Wave> {
    let contender = server.contender;
    let mut publisher = server.publisher()?;
    // Neither thread spins, as both have the same core.
    let mut staying = Fleet::new(false)?;
    publisher.register(staying.poll.registry())?;
    let topics: Vec<_> = (0..STAYING).map(own_topic).collect();
    come(&mut staying, &server, &mut publisher, &topics)?;
    let others: Vec<_> = (STAYING..STAYING + returning).map(own_topic).collect();
    let mut binding = server.publisher()?;
    let mut leaving = Fleet::new(false)?;
    come(&mut leaving, &server, &mut binding, &others)?;

    let before = watch(&mut staying, &mut publisher, &topics, |since| since < BEFORE)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let (say, came) = mpsc::channel();
    let (time, cpu, during) = std::thread::scope(|scope| {
        let (server, over) = (&server, Arc::clone(&is_over));
        scope.spawn(move || {
            let mut wave = || -> anyhow::Result<(Duration, Duration)> {
                give_way_to_who_measures();
                let (cpu, begun) = (server.cpu()?, Instant::now());
                leaving.clients.clear();
                come(&mut leaving, server, &mut binding, &others)?;
                let spent = (begun.elapsed(), server.cpu()? - cpu);
                over.store(true, Ordering::Release);
                // The connections stay until the pushes are counted.
                std::thread::sleep(PAUSE);
                Ok(spent)
            };
            let spent = wave();
            over.store(true, Ordering::Release);
            let _ = say.send(spent);
        });
        let during = watch(&mut staying, &mut publisher, &topics, |_| !is_over.load(Ordering::Acquire))?;
        let (time, cpu) = came.recv().context("the clients that come back")??;
        anyhow::Ok((time, cpu, during))
    })?;
    Ok(Wave {
        contender,
        clients: returning,
        time: time.as_secs_f64(),
        cpu: cpu.as_secs_f64() / returning as f64 * 1e6,
        before,
        during,
    })
}

/// Connects clients with a topic each, on our server a uid, and waits until a push reaches the last of them.
fn come(
    fleet: &mut Fleet,
    server: &Running,
    publisher: &mut Publisher,
    topics: &[String],
) -> anyhow::Result<()> {
    let contender = server.contender;
    let request = |topic: &String| handshake::request(server.websocket.address, &contender.path(topic));
    let greetings = fleet.connect(&server.websocket, topics.iter().map(request), contender.greets())?;
    if contender.is_ours() {
        bind(publisher, &greetings, topics)?;
    }
    join(fleet, contender, topics.iter().map(String::as_str))?;
    let last = topics.last().context("a client")?;
    publisher.publish(Target::One(last), &[b'x'; SIZE])?;
    publisher.flush()?;
    let (start, mut is_there) = (Instant::now(), false);
    while !is_there {
        fleet.turn(|_, _, opcode| is_there |= is_data(opcode))?;
        publisher.drain()?;
        anyhow::ensure!(start.elapsed() < PATIENCE, "the last of {} clients gets nothing", topics.len());
    }
    Ok(())
}

/// Pushes to one client after the other, each at its time, while `goes_on` says so, and gives how long each took from then on.
fn watch(
    fleet: &mut Fleet,
    publisher: &mut Publisher,
    topics: &[String],
    goes_on: impl Fn(Duration) -> bool,
) -> anyhow::Result<Spread> {
    let (start, mut pushed, mut latencies) = (Instant::now(), 0_u32, Vec::new());
    fleet.clients.iter_mut().for_each(|client| client.messages = 0);
    let mut is_open = true;
    while is_open || latencies.len() < pushed as usize {
        is_open = is_open && goes_on(start.elapsed());
        while is_open && start.elapsed() >= PAUSE * pushed {
            publisher.publish(Target::One(&topics[pushed as usize % topics.len()]), &[b'x'; SIZE])?;
            pushed += 1;
        }
        publisher.flush()?;
        let due = (PAUSE * pushed).saturating_sub(start.elapsed());
        let turn = fleet.turn_within(due.max(PAUSE / 10), |key, client, opcode| {
            if is_data(opcode) {
                let number = client.messages * topics.len() + key;
                client.messages += 1;
                latencies.push((start.elapsed() - PAUSE * number as u32).as_secs_f64() * 1e3);
            }
        })?;
        if turn.control {
            publisher.drain()?;
        }
        anyhow::ensure!(start.elapsed() < PATIENCE * 4, "pushes do not come");
    }
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[(share * (latencies.len() - 1) as f64) as usize];
    anyhow::ensure!(!latencies.is_empty(), "no push");
    Ok(Spread { p50: at(0.5), p99: at(0.99), longest: at(1.0) })
}

/// Lets the thread that measures latencies go first, as both share a core.
fn give_way_to_who_measures() {
    const LEAST: libc::c_int = 19;
    // SAFETY: the call changes the priority of this thread only, which its number 0 stands for.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, LEAST) };
}

impl Wave {
    fn cells(&self) -> [String; COLUMNS.len()] {
        let both = |of: fn(Spread) -> f64| format!("{:.2} / {:.2}", of(self.before), of(self.during));
        [
            self.contender.name().to_owned(),
            thousands(self.clients as f64),
            thousands(self.time * 1e3),
            format!("{:.1}", self.cpu),
            both(|one| one.p50),
            both(|one| one.p99),
            both(|one| one.longest),
        ]
    }
}

pub(crate) fn print(waves: &[Wave]) {
    println!("\na wave of reconnects\n{}", COLUMNS.join(" | "));
    for wave in waves {
        println!("{}", wave.cells().join(" | "));
    }
}

/// The table for the page.
pub(crate) fn markdown(waves: &[Wave]) -> String {
    let mut out = format!("| {} |\n| --- |{}\n", COLUMNS.join(" | "), " ---: |".repeat(COLUMNS.len() - 1));
    for wave in waves {
        // Writing into a string cannot fail.
        let _ = writeln!(out, "| {} |", wave.cells().join(" | "));
    }
    out
}
