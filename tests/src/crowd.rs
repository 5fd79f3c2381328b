//! A thousand honest clients who are pushed to all the while, in a thread of their own, and what the server has of memory and
//! descriptors with them alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use tokio::sync::{mpsc, oneshot};

use crate::{Client, PhpPeer, Server, eventually, soon};

const CLIENTS: usize = 1000;
/// Between two pushes.
const PAUSE: Duration = Duration::from_millis(2);
/// What a server may keep of memory once its peers have gone: allocators do not give everything back.
const SLACK: u64 = 32 << 20;

/// A push that takes less is no complaint, however quick pushes were before: whoever has a core may keep it for a tick of the kernel,
/// 4 ms at 250 Hz, while others wait for it, whatever the server does.
const UNREMARKABLE: Duration = Duration::from_millis(5);

pub struct Crowd {
    stop: Arc<AtomicBool>,
    /// Pushes that have arrived so far.
    pushes: Arc<AtomicUsize>,
    /// How many of them had arrived when the attack on another server began, and when that on this one did.
    phases: [usize; 2],
    done: oneshot::Receiver<anyhow::Result<Vec<Duration>>>,
    footprint: Footprint,
}

/// What a server has of memory and descriptors before an attack.
pub struct Footprint {
    memory: u64,
    open_files: usize,
}

impl Footprint {
    pub fn of(server: &Server) -> anyhow::Result<Self> {
        Ok(Self { memory: server.memory()?, open_files: server.open_files()? })
    }

    /// How much memory the server has more than it had.
    pub fn memory_beside(&self, server: &Server) -> anyhow::Result<u64> {
        Ok(server.memory()?.saturating_sub(self.memory))
    }
}

impl Crowd {
    /// Comes, and is pushed to from now on.
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

    /// The attack begins once pushes have shown what they take without it: for `quiet` with nothing else to do for the machine, then
    /// while the same attack is `elsewhere`, on another server of this machine. Whatever pushes take longer afterwards is the
    /// server's own doing. Where nobody compares them, the attack begins at once.
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

    /// What the server has with the crowd alone.
    pub fn footprint(&self) -> &Footprint {
        &self.footprint
    }

    /// Everybody else has gone: waits until the server has forgotten them, lets the crowd go, and says how long pushes took.
    /// Each push has arrived, in order.
    pub async fn leave(self, name: &str, server: &Server) -> anyhow::Result<()> {
        eventually("open files", self.footprint.open_files, async || server.open_files()).await?;
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

/// What 99 of 100 took at most. Sorts them.
fn p99(latencies: &mut [Duration]) -> Duration {
    latencies.sort_unstable();
    latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default()
}

/// Whether pushes have to be quick: machines that others use are no measure, so in ordinary tests they have not.
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
    // One push is under way at a time, so never more than one waits here.
    let (heard, mut arrivals) = mpsc::unbounded_channel();
    let clients = try_join_all((0..CLIENTS).map(|_| Client::connect(websocket))).await?;
    for (number, mut client) in clients.into_iter().enumerate() {
        php.bind(client.id, &number.to_string()).await?;
        let heard = heard.clone();
        tokio::spawn(async move {
            // Whatever ends it shows as a push that does not arrive.
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
