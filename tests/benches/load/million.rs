//! Very many idle connections, with pings and pongs, and a broadcast that reaches all of them.
//!
//! Where the limit of open files is too low for one server, several servers share the port; the clients come from as many
//! addresses of loopback as they need.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sched::{CloneFlags, unshare};

use crate::contender::Contender;
use crate::cores::Cores;
use crate::endpoint::Endpoint;
use crate::fleet::{Client, Fleet};
use crate::frames::{BINARY, PING, PONG, TEXT, push_masked};
use crate::handshake;
use crate::publisher::{Publisher, SHARED, Target};
use crate::results::thousands;
use crate::running::Running;
use crate::seat::{most_connections, most_files};

/// The server's default interval; every client is pinged this often.
const PING_INTERVAL: Duration = Duration::from_secs(25);
/// The time for which the connections are held before the broadcast.
const HOLD: Duration = PING_INTERVAL.saturating_mul(2);
const FIRST_PORT: u16 = 10_000;
const PATIENCE: Duration = Duration::from_secs(900);
/// The number of clients that a thread connects before it answers the pings of those that it has.
const PART: usize = 1_000;

/// Counts that all threads of clients add to.
#[derive(Default)]
struct Progress {
    connected: AtomicUsize,
    pongs: AtomicUsize,
    messages: AtomicUsize,
    is_over: AtomicBool,
    /// Is held by the thread that connects its clients: several at once would overflow the listeners' queues.
    turn: Mutex<()>,
}

pub(crate) async fn run(cores: Cores, connections: usize) -> anyhow::Result<()> {
    // The kernel spreads connections by chance, so a twentieth of each limit is left for servers that get more than their
    // share.
    let servers = connections.div_ceil(most_files()? * 19 / 20);
    let mut running = vec![Contender::sharing(cores, None).await?];
    while running.len() < servers {
        running.push(Contender::sharing(cores, Some(running[0].websocket.address)).await?);
    }
    let server = running[0].websocket.address;
    let (free, user) = (free_memory()?, memory(&running)?);

    let progress = Arc::new(Progress::default());
    let start = Instant::now();
    let each = connections.div_ceil(connections.div_ceil(most_connections()?));
    let threads: Vec<_> = (0..connections)
        .step_by(each)
        .enumerate()
        .map(|(at, first)| {
            let (progress, clients) = (Arc::clone(&progress), each.min(connections - first));
            let from = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + 1 + at as u32);
            std::thread::spawn(move || {
                let result = crowd(server, from, clients, &progress);
                // When one thread has failed, the others have nothing to wait for.
                progress.is_over.fetch_or(result.is_err(), Ordering::Relaxed);
                result
            })
        })
        .collect();
    let hold = || -> anyhow::Result<()> {
        progress.wait(|| progress.connected.load(Ordering::Relaxed), connections)?;
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{} connections over {servers} servers after {seconds:.0} s; {:.0} bytes each of the servers' memory, {:.1} GB \
             of the machine's for both ends",
            thousands(connections as f64),
            memory(&running)?.saturating_sub(user) as f64 / connections as f64,
            free.saturating_sub(free_memory()?) as f64 / 1e9,
        );
        std::thread::sleep(HOLD);
        println!(
            "{} pings answered by then, {} connections left",
            thousands(progress.pongs.load(Ordering::Relaxed) as f64),
            thousands(progress.connected.load(Ordering::Relaxed) as f64),
        );
        let mut publishers: Vec<Publisher> =
            running.iter().map(Running::publisher).collect::<Result<_, _>>()?;
        let start = Instant::now();
        for publisher in &mut publishers {
            publisher.publish(Target::All, b"to all")?;
            publisher.flush()?;
        }
        progress.wait(|| progress.messages.load(Ordering::Relaxed), connections)?;
        println!("a broadcast has reached all of them after {:.1} s", start.elapsed().as_secs_f64());
        Ok(())
    };
    let held = hold();
    progress.is_over.store(true, Ordering::Relaxed);
    let connected = progress.connected.load(Ordering::Relaxed);
    for thread in threads {
        let ended = thread.join().ok().context("a thread of clients panicked")?;
        ended.with_context(|| format!("{} had connected", thousands(connected as f64)))?;
    }
    held
}

/// Runs some of the clients, all from one address, until the run is over.
fn crowd(server: SocketAddr, from: Ipv4Addr, clients: usize, progress: &Progress) -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_FILES)?;
    let mut fleet = Fleet::new(false)?;
    let (server, request) =
        (Endpoint::plain(server), handshake::request(server, &Contender::Ours.path(SHARED)));
    let mut pong = Vec::new();
    push_masked(&mut pong, PONG, b"");
    let failed = Cell::new(None);
    let heard = |client: &mut Client, opcode: u8| match opcode {
        PING => {
            progress.pongs.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = client.send(&pong) {
                failed.set(Some(error));
            }
        }
        TEXT | BINARY => drop(progress.messages.fetch_add(1, Ordering::Relaxed)),
        _ => {}
    };
    let turn = progress.turn.lock().unwrap_or_else(PoisonError::into_inner);
    for connected in (0..clients).step_by(PART) {
        let part = PART.min(clients - connected);
        let from = SocketAddr::from((from, FIRST_PORT + connected as u16));
        let requests = std::iter::repeat_n(request.clone(), part);
        fleet.connect_from(Some(from), &server, requests, Contender::Ours.greets())?;
        progress.connected.fetch_add(part, Ordering::Relaxed);
        // The events of what has come meanwhile were passed over.
        fleet.read_all(heard)?;
    }
    drop(turn);
    while !progress.is_over.load(Ordering::Relaxed) {
        fleet.turn(|_, client, opcode| heard(client, opcode))?;
        failed.take().map_or(Ok(()), Err)?;
    }
    Ok(())
}

impl Progress {
    fn wait(&self, count: impl Fn() -> usize, expected: usize) -> anyhow::Result<()> {
        let start = Instant::now();
        while count() < expected {
            anyhow::ensure!(!self.is_over.load(Ordering::Relaxed), "clients had an error");
            anyhow::ensure!(start.elapsed() < PATIENCE, "{} of {expected}, and no more come", count());
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

fn memory(running: &[Running]) -> anyhow::Result<u64> {
    running.iter().map(Running::memory).sum()
}

fn free_memory() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).context("MemAvailable")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
