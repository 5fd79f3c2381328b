//! More idle connections than one process may have open: over several servers, with several threads of clients.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::Context as _;
use nix::sched::{CloneFlags, unshare};

use crate::contender::{Contender, Running};
use crate::cores::Cores;
use crate::fleet::Fleet;
use crate::measure::Figures;
use crate::publisher::{Publisher, SHARED};
use crate::session::{FIRST, SETTLE, bind, own_topic};

/// Descriptors that are no connections.
const OTHER_FILES: usize = 500;
const MOST_PORTS: usize = 25_000;

/// How many connections one process can have here, on either side.
pub(crate) fn most_connections() -> anyhow::Result<usize> {
    let limit = rlimit::getrlimit(rlimit::Resource::NOFILE)?.0 as usize;
    // Port numbers set a limit as well: a server has one address, and so have its clients.
    Ok(limit.saturating_sub(OTHER_FILES).clamp(1, MOST_PORTS))
}

/// Bytes of memory for each of so many connections, on which nothing happens.
pub(crate) async fn idle(
    contender: Contender,
    cores: Cores,
    connections: usize,
    servers: usize,
    bound: bool,
) -> anyhow::Result<Figures> {
    let each = connections / servers;
    let mut crowds = Vec::new();
    for _ in 0..servers {
        let server = contender.start(cores).await?;
        crowds.push(Crowd::start(server, each, bound)?);
    }
    let mut memory = [0, 0];
    for sum in &mut memory {
        for crowd in &crowds {
            crowd.steps.send(()).context("a thread of clients ended")?;
            crowd.done.recv().context("a thread of clients ended")??;
        }
        tokio::time::sleep(SETTLE).await;
        for crowd in &crowds {
            *sum += crowd.server.memory()?;
        }
    }
    let grown = memory[1].saturating_sub(memory[0]) as f64;
    Ok(Figures { value: grown / (servers * (each - FIRST)) as f64, ..Figures::default() })
}

/// A server and the thread with its clients, which end when this is dropped.
struct Crowd {
    server: Running,
    steps: Sender<()>,
    done: Receiver<anyhow::Result<()>>,
}

impl Crowd {
    fn start(server: Running, clients: usize, bound: bool) -> anyhow::Result<Self> {
        let (steps, next) = channel();
        let (say, done) = channel();
        let (contender, websocket, register) = (server.contender, server.websocket, server.register);
        std::thread::Builder::new().name("clients".to_owned()).spawn(move || {
            let mut state = None;
            for range in [0..FIRST, FIRST..clients] {
                if next.recv().is_err() {
                    return;
                }
                let result = (|| {
                    if state.is_none() {
                        // A table of descriptors of its own, with a limit of its own.
                        unshare(CloneFlags::CLONE_FILES)?;
                        let publisher = bound.then(|| Publisher::bridge(register)).transpose()?;
                        state = Some((Fleet::new(false)?, publisher));
                    }
                    let (fleet, publisher) = state.as_mut().context("a fleet")?;
                    add(fleet, publisher.as_mut(), contender, websocket, range)
                })();
                if say.send(result).is_err() {
                    return;
                }
            }
            // Until the measuring is over.
            let _ = next.recv();
        })?;
        Ok(Self { server, steps, done })
    }
}

fn add(
    fleet: &mut Fleet,
    publisher: Option<&mut Publisher>,
    contender: Contender,
    server: std::net::SocketAddr,
    range: Range<usize>,
) -> anyhow::Result<()> {
    let topics: Vec<_> = range.map(own_topic).collect();
    let path = contender.path(SHARED);
    let greetings = fleet.connect(server, topics.iter().map(|_| path.clone()), contender.greets())?;
    if let Some(publisher) = publisher {
        bind(publisher, &greetings, &topics)?;
        std::thread::sleep(Duration::from_millis(50));
        publisher.drain()?;
    }
    Ok(())
}
