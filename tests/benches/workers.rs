//! Messages through an echoing `Events::onMessage`: GatewayWorker's own stack, its workers on our server, and our worker
//! runner, in one run with the same handler and the same number of worker processes.
//!
//! Rates and CPU are shown as multiples of GatewayWorker's. `make bench-workers` runs it; ARGS="1x16 4x1" runs only those
//! rows (workers x messages in flight), and ARGS=ours only our runner. Without GatewayWorker's sources (GATEWAYWORKER_PATH
//! and the other variables) only our runner is measured.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use gateway_tests::{
    BusinessWorkers, Client, OriginalStack, Server, WorkerRunner, cpu_of_descendants, eventually, root,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const CLIENTS: usize = 100;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(4);
/// The numbers of messages that a client has under way.
const WINDOWS: [usize; 2] = [1, 16];
const WORKERS: [usize; 2] = [1, 4];
/// The bytes of a message, and of its frame when it comes back.
const PAYLOAD: usize = 64;
const ECHO: usize = 2 + PAYLOAD;

/// A side of the comparison: a server together with workers.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Ours,
    TheirWorkersOnOurs,
    Theirs,
}

/// The processes of a side, which run until this is dropped.
enum Stack {
    Ours { _server: Server, _runner: WorkerRunner },
    Mixed { _server: Server, _workers: BusinessWorkers },
    Theirs { _stack: OriginalStack },
}

/// The figures of one round, or the medians over the rounds; latencies are in microseconds.
#[derive(Clone, Copy, Default)]
struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
    /// The CPU seconds of server and workers for a million messages.
    cpu: f64,
}

impl Side {
    const ALL: [Self; 3] = [Self::Ours, Self::TheirWorkersOnOurs, Self::Theirs];

    fn name(self) -> &'static str {
        match self {
            Self::Ours => "gateway-server, gateway-worker",
            Self::TheirWorkersOnOurs => "gateway-server, BusinessWorker",
            Self::Theirs => "GatewayWorker",
        }
    }

    async fn start(self, workers: usize) -> anyhow::Result<(Stack, SocketAddr)> {
        let events: PathBuf = root().join("tests/php/echo/Events.php");
        if self == Self::Theirs {
            let stack = OriginalStack::start_with(events, workers).await?;
            let websocket = stack.websocket;
            return Ok((Stack::Theirs { _stack: stack }, websocket));
        }
        let mut server = Server::start(&["--events", "workers"]).await?;
        let (websocket, register) = (server.websocket, server.register[0]);
        let stack = if self == Self::Ours {
            let runner = WorkerRunner::start_with(events, register, workers).await?;
            for _ in 0..workers {
                server.logs("a worker joined").await?;
            }
            Stack::Ours { _server: server, _runner: runner }
        } else {
            let started = BusinessWorkers::start_with(events, register, workers, "").await?;
            for _ in 0..workers {
                server.logs("a worker joined").await?;
            }
            Stack::Mixed { _server: server, _workers: started }
        };
        Ok((stack, websocket))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // Cargo adds an argument that begins with a dash.
    let mut rows: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_alone = rows.iter().position(|row| row == "ours").map(|at| rows.remove(at)).is_some();
    let sides = match OriginalStack::missing() {
        _ if is_alone => &Side::ALL[..1],
        None => &Side::ALL[..],
        Some(reason) => {
            println!("our runner alone, without GatewayWorker: {reason}");
            &Side::ALL[..1]
        }
    };
    println!(
        "\n{CLIENTS} clients\n{:<9}{:>10}  {:<32}{:>12}{:>10}{:>10}{:>12}{:>9}{:>9}",
        "workers", "in flight", "", "messages/s", "p50 µs", "p99 µs", "CPU s/M", "rate", "CPU"
    );
    for workers in WORKERS {
        for window in WINDOWS {
            if !rows.is_empty() && !rows.contains(&format!("{workers}x{window}")) {
                continue;
            }
            let mut rounds = vec![Vec::new(); sides.len()];
            // The sides take turns, so that a slow minute of the machine slows all of them.
            for _ in 0..ROUNDS {
                for (side, figures) in sides.iter().zip(&mut rounds) {
                    figures.push(measure(*side, workers, window).await?);
                }
            }
            let medians: Vec<_> = rounds.iter().map(|figures| median(figures)).collect();
            for (side, figures) in sides.iter().zip(&medians) {
                let theirs =
                    medians.get(2).copied().unwrap_or(Figures { rate: f64::NAN, cpu: f64::NAN, ..*figures });
                println!(
                    "{workers:<9}{window:>10}  {:<32}{:>12.0}{:>10.0}{:>10.0}{:>12.2}{:>8.2}x{:>8.2}x",
                    side.name(),
                    figures.rate,
                    figures.p50,
                    figures.p99,
                    figures.cpu,
                    figures.rate / theirs.rate,
                    figures.cpu / theirs.cpu
                );
            }
        }
    }
    Ok(())
}

async fn measure(side: Side, workers: usize, window: usize) -> anyhow::Result<Figures> {
    let (_stack, websocket) = side.start(workers).await?;
    // A worker has joined once a client is greeted; before that the server closes its clients.
    eventually("a worker greets", true, async || Ok(Client::connect(websocket).await.is_ok())).await?;
    let clients = try_join_all((0..CLIENTS).map(|_| Client::connect(websocket))).await?;
    let before = cpu_of_descendants()?;
    let begun = Instant::now();
    let end = begun + ROUND;
    let each = try_join_all(clients.into_iter().map(|client| talk(client, window, end))).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    let spent = cpu_of_descendants()? - before;
    let mut latencies: Vec<_> = each.into_iter().flatten().collect();
    latencies.sort_unstable();
    let at = |part: f64| {
        let place = (latencies.len() as f64 * part) as usize;
        latencies.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    };
    let count = latencies.len() as f64;
    Ok(Figures { rate: count / elapsed, p50: at(0.5), p99: at(0.99), cpu: spent / count * 1e6 })
}

/// Keeps `window` messages under way, and gives how long each took. Each must come back, and in order.
///
/// This client shares the machine with what is measured, so it does as little as possible: one read takes everything that has
/// come, and one write sends as many new messages.
async fn talk(client: Client, window: usize, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut socket = client.socket.into_inner();
    let (mut latencies, mut sent) = (Vec::new(), VecDeque::new());
    let (mut out, mut input) = (Vec::new(), Vec::new());
    let (mut next, mut expected) = (0_u64, 0_u64);
    loop {
        out.clear();
        let now = Instant::now();
        while sent.len() < window && now < end {
            // The mask is zero, which leaves the payload as it is.
            out.extend([0x81, 0x80 | PAYLOAD as u8, 0, 0, 0, 0]);
            write!(out, "message {next:056}")?;
            sent.push_back(now);
            next += 1;
        }
        socket.write_all(&out).await?;
        if sent.is_empty() {
            return Ok(latencies);
        }
        while input.len() < ECHO {
            anyhow::ensure!(socket.read_buf(&mut input).await? > 0, "the connection ended");
        }
        let (now, whole) = (Instant::now(), input.len() / ECHO * ECHO);
        for echo in input[..whole].chunks_exact(ECHO) {
            let number = std::str::from_utf8(&echo[10..])?.parse::<u64>()?;
            anyhow::ensure!(
                echo[..10] == *b"\x81\x40message " && number == expected,
                "{echo:?} is not number {expected}"
            );
            latencies.extend(sent.pop_front().map(|at| now - at));
            expected += 1;
        }
        input.drain(..whole);
    }
}

fn median(rounds: &[Figures]) -> Figures {
    let of = |value: fn(&Figures) -> f64| {
        let mut values: Vec<_> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Figures {
        rate: of(|figures| figures.rate),
        p50: of(|figures| figures.p50),
        p99: of(|figures| figures.p99),
        cpu: of(|figures| figures.cpu),
    }
}
