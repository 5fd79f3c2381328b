//! A thousand honest clients that get pushes during an attack, in a thread of their own, and the memory and descriptors that
//! the server uses with these clients alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use tokio::sync::{mpsc, oneshot};

use crate::{Client, PhpPeer, Server, eventually, soon};

const CLIENTS: usize = 1000;
/// The pause between two pushes.
const PAUSE: Duration = Duration::from_millis(2);
/// The bytes of memory that a server may keep after its peers have gone: allocators do not give everything back to the
/// kernel.
const SLACK: u64 = 32 << 20;

/// A push that takes less than this is never reported as slow, however quick pushes were before the attack: a process that
/// has a core may keep it for a tick of the kernel (4 ms at 250 Hz) while others wait, whatever the server does.
const UNREMARKABLE: Duration = Duration::from_millis(5);

pub struct Crowd {
    stop: Arc<AtomicBool>,
    /// The number of pushes that have arrived so far.
    pushes: Arc<AtomicUsize>,
    /// The number of pushes that had arrived when the attack on another server began, and when the attack on this server
    /// began.
    phases: [usize; 2],
    done: oneshot::Receiver<anyhow::Result<Vec<Duration>>>,
    footprint: Footprint,
}

/// The memory and the descriptors that a server uses before an attack.
pub struct Footprint {
    memory: u64,
    open_files: usize,
}

impl Footprint {
    pub fn of(server: &Server) -> anyhow::Result<Self> {
        Ok(Self { memory: server.memory()?, open_files: server.open_files()? })
    }

    /// Waits until the server has no more descriptors than it had.
    pub async fn attackers_go(&self, server: &Server) -> anyhow::Result<()> {
        eventually("open files", self.open_files, async || server.open_files()).await
    }

    /// Gives how many bytes of memory the server uses beyond this footprint.
    pub fn memory_beside(&self, server: &Server) -> anyhow::Result<u64> {
        Ok(server.memory()?.saturating_sub(self.memory))
    }
}

impl Crowd {
    /// Connects the clients and starts the pushes, which go on until [`Crowd::leave`].
    pub async fn gather(server: &Server) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (gathered, all_there) = oneshot::channel();
        let (told, done) = oneshot::channel();
        let pushes = Arc::new(AtomicUsize::new(0));
        let (websocket, register) = (server.websocket, server.register[0]);
        let (stopped, arrived) = (Arc::clone(&stop), Arc::clone(&pushes));
        std::thread::Builder::new().name("crowd".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let result = runtime.map_err(Into::into).and_then(|runtime| {
                runtime.block_on(live(websocket, register, gathered, &stopped, &arrived))
            });
            let _ = told.send(result);
        })?;
        soon("the crowd", all_there).await??;
        Ok(Self { stop, pushes, phases: [0; 2], done, footprint: Footprint::of(server)? })
    }

    /// Measures how long pushes take without an attack, and returns when the attack may begin: first for `quiet` on an idle
    /// machine, then while the same attack runs `elsewhere`, on another server of this machine. Pushes that take longer
    /// afterwards are slowed by the attacked server itself. Without ADVERSARY_STRICT nobody compares the times, and this
    /// returns at once.
    pub async fn await_attack(
        &mut self,
        quiet: Duration,
        elsewhere: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        if is_strict() {
            tokio::time::sleep(quiet).await;
            self.phases[0] = self.pushes.load(Ordering::Relaxed);
            elsewhere.await?;
        }
        self.phases[1] = self.pushes.load(Ordering::Relaxed);
        Ok(())
    }

    /// The memory and the descriptors that the server uses with the crowd alone.
    pub fn footprint(&self) -> &Footprint {
        &self.footprint
    }

    /// Is called when the attackers have gone: waits until the server has released what they used, ends the crowd, and prints
    /// how long pushes took. Fails if a push did not arrive or came out of order.
    pub async fn leave(self, name: &str, server: &Server) -> anyhow::Result<()> {
        self.footprint.attackers_go(server).await?;
        eventually("memory is given back", true, async || Ok(self.footprint.memory_beside(server)? < SLACK))
            .await?;
        self.stop.store(true, Ordering::Relaxed);
        let mut latencies = soon("the crowd's end", self.done).await???;
        let mut during = latencies.split_off(self.phases[1].min(latencies.len()));
        let mut elsewhere = latencies.split_off(self.phases[0].min(latencies.len()));
        let [quiet, beside, attacked] = [&mut latencies, &mut elsewhere, &mut during].map(|phase| p99(phase));
        let longest = during.last().copied().unwrap_or_default();
        println!(
            "{name}: {} pushes, p99 {attacked:?} (before {quiet:?}, with the attack on another server {beside:?}), longest {longest:?}",
            during.len()
        );
        if is_strict() {
            let most = (2 * quiet.max(beside)).max(UNREMARKABLE);
            ensure!(attacked <= most, "{name}: p99 is {attacked:?}, and was {quiet:?} and {beside:?} before");
        }
        Ok(())
    }
}

/// Sorts the times and gives the 99th percentile.
fn p99(latencies: &mut [Duration]) -> Duration {
    latencies.sort_unstable();
    latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default()
}

/// True if slow pushes fail the test. Ordinary runs do not ask for it: on a machine that others use too, times say little.
fn is_strict() -> bool {
    std::env::var_os("ADVERSARY_STRICT").is_some()
}

async fn live(
    websocket: SocketAddr,
    register: SocketAddr,
    gathered: oneshot::Sender<()>,
    stop: &AtomicBool,
    pushes: &AtomicUsize,
) -> anyhow::Result<Vec<Duration>> {
    let mut php = PhpPeer::connect(register).await?;
    // The channel needs no bound: only one push is under way at a time, so at most one arrival for each client waits here.
    let (heard, mut arrivals) = mpsc::unbounded_channel();
    let clients = try_join_all((0..CLIENTS).map(|_| Client::connect(websocket))).await?;
    for (number, mut client) in clients.into_iter().enumerate() {
        php.bind(client.id, &number.to_string()).await?;
        let heard = heard.clone();
        tokio::spawn(async move {
            // Whatever ends this loop, the test notices it as a push that does not arrive.
            while let Ok(text) = client.text().await {
                if heard.send((number, text.parse::<usize>().ok(), Instant::now())).is_err() {
                    return;
                }
            }
        });
    }
    php.count().await?;
    let _ = gathered.send(());

    let start = Instant::now();
    let mut latencies = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (push, to) = (latencies.len(), latencies.len() % CLIENTS);
        let sent = Instant::now();
        php.send_to_uid(&to.to_string(), &push.to_string()).await?;
        php.acked().await?;
        let what = format!("push {push} after {:?}", start.elapsed());
        let (number, text, at) = soon(&what, arrivals.recv()).await?.context("nobody is left")?;
        ensure!((number, text) == (to, Some(push)), "{text:?} came to {number} instead of {push} to {to}");
        latencies.push(at - sent);
        pushes.store(latencies.len(), Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(latencies)
}
