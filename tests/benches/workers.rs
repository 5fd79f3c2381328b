//! Messages through an echoing `Events::onMessage`: GatewayWorker's own stack, its workers on our server, and our worker
//! runner, in one run with the same handler and the same number of worker processes.
//!
//! `make bench-workers`. Without GatewayWorker's sources (GATEWAYWORKER_PATH and friends) it shows our runner alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use gateway_tests::{BusinessWorkers, Client, OriginalStack, Server, WorkerRunner, eventually, root};
use tokio_tungstenite::tungstenite::Message;

const CLIENTS: usize = 100;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(4);
/// Messages that a client has under way.
const WINDOWS: [usize; 2] = [1, 16];
const WORKERS: [usize; 2] = [1, 4];

/// Which server, and whose workers.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Ours,
    TheirWorkersOnOurs,
    Theirs,
}

/// What keeps a side alive.
enum Stack {
    Ours { _server: Server, _runner: WorkerRunner },
    Mixed { _server: Server, _workers: BusinessWorkers },
    Theirs { _stack: OriginalStack },
}

/// Of one round, or the medians over the rounds; latencies in microseconds.
#[derive(Clone, Copy, Default)]
struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
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
    let sides = match OriginalStack::missing() {
        None => &Side::ALL[..],
        Some(variable) => {
            println!("{variable} does not name GatewayWorker's sources: our runner alone");
            &Side::ALL[..1]
        }
    };
    println!(
        "\n{CLIENTS} clients\n{:<9}{:>10}  {:<32}{:>12}{:>12}{:>12}{:>18}",
        "workers", "in flight", "", "messages/s", "p50 µs", "p99 µs", "of GatewayWorker"
    );
    for workers in WORKERS {
        for window in WINDOWS {
            let mut rounds = vec![Vec::new(); sides.len()];
            // In turn, so that a slow minute of the machine is everybody's.
            for _ in 0..ROUNDS {
                for (side, figures) in sides.iter().zip(&mut rounds) {
                    figures.push(measure(*side, workers, window).await?);
                }
            }
            let medians: Vec<_> = rounds.iter().map(|figures| median(figures)).collect();
            for (side, figures) in sides.iter().zip(&medians) {
                let theirs = medians.get(2).map_or(f64::NAN, |theirs| theirs.rate);
                println!(
                    "{workers:<9}{window:>10}  {:<32}{:>12.0}{:>12.0}{:>12.0}{:>17.2}x",
                    side.name(),
                    figures.rate,
                    figures.p50,
                    figures.p99,
                    figures.rate / theirs
                );
            }
        }
    }
    Ok(())
}

async fn measure(side: Side, workers: usize, window: usize) -> anyhow::Result<Figures> {
    let (_stack, websocket) = side.start(workers).await?;
    // A worker has joined when it can be greeted by; one that is not ready closes its clients.
    eventually("a worker greets", true, async || Ok(Client::connect(websocket).await.is_ok())).await?;
    let clients = try_join_all((0..CLIENTS).map(|_| Client::connect(websocket))).await?;
    let begun = Instant::now();
    let end = begun + ROUND;
    let each = try_join_all(clients.into_iter().map(|client| talk(client, window, end))).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    let mut latencies: Vec<_> = each.into_iter().flatten().collect();
    latencies.sort_unstable();
    let at = |part: f64| {
        let place = (latencies.len() as f64 * part) as usize;
        latencies.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    };
    Ok(Figures { rate: latencies.len() as f64 / elapsed, p50: at(0.5), p99: at(0.99) })
}

/// Keeps so many messages under way and gives how long each took. Each must come back, and in order.
async fn talk(mut client: Client, window: usize, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mut sent = std::collections::VecDeque::new();
    let mut number = 0_u64;
    loop {
        while sent.len() < window && Instant::now() < end {
            sent.push_back((number, Instant::now()));
            client.send(Message::text(format!("message {number:056}"))).await?;
            number += 1;
        }
        let Some((number, at)) = sent.pop_front() else { return Ok(latencies) };
        let text = client.text().await?;
        anyhow::ensure!(text == format!("message {number:056}"), "{text} instead of message {number}");
        latencies.push(at.elapsed());
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
    }
}
