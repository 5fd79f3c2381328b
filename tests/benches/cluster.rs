//! The cost of a `sendToUid` in clusters of more and more nodes: ours over NATS, and GatewayWorker with as many gateways.
//!
//! PHP is connected to a node that has none of the clients, so every push goes from one node to another, except where there
//! is only one node. With the word `spread` all nodes have equally many clients, and the more nodes there are, the more
//! pushes cross. All processes share this machine. CPU is that of all of them, PHP and NATS included, except the clients. An
//! example is `make bench-cluster ARGS="spread 2 4"`. Without GatewayWorker's sources (GATEWAYWORKER_PATH and the other
//! variables) only ours is measured.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway_tests::{
    Client, Nats, OriginalCluster, OriginalStack, SECRET, Server, cpu_of_descendants, php, root,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

const NODES: [usize; 4] = [1, 2, 4, 8];
const ROUNDS: usize = 3;
const SPREAD: &str = "spread";
/// The number of clients of all nodes together. Each client has a uid of its own.
const CLIENTS: usize = 400;
/// The bytes of a push as a client gets it: a header of 2 bytes and a message of 64.
const FRAME: u64 = 66;

/// A side of the comparison: servers together with a PHP client.
#[derive(Clone, Copy)]
enum Side {
    Ours,
    Theirs,
}

struct Figures {
    /// Microseconds of CPU for a push.
    cpu: f64,
    rate: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_spread = words.iter().any(|word| word == SPREAD);
    words.retain(|word| word != SPREAD);
    let theirs = match OriginalStack::missing() {
        None => true,
        Some(reason) => {
            println!("ours alone, without GatewayWorker: {reason}");
            false
        }
    };
    let first = if is_spread { "one node" } else { "two nodes" };
    println!(
        "\n{CLIENTS} clients in all, one PHP process, 64 bytes; the last columns are multiples of {first}"
    );
    println!("{:<8}{:<16}{:>12}{:>16}{:>10}{:>10}", "nodes", "", "pushes/s", "CPU µs/push", "CPU", "rate");
    let mut firsts = [None, None];
    for nodes in NODES {
        if !words.is_empty() && !words.contains(&nodes.to_string()) {
            continue;
        }
        for side in [Side::Ours, Side::Theirs] {
            if matches!(side, Side::Theirs) && !theirs {
                continue;
            }
            let mut rounds = Vec::new();
            for _ in 0..ROUNDS {
                rounds.push(side.measure(nodes, is_spread).await?);
            }
            rounds.sort_by(|one, other| one.cpu.total_cmp(&other.cpu));
            let Figures { cpu, rate } = rounds.swap_remove(ROUNDS / 2);
            print!("{nodes:<8}{:<16}{rate:>12.0}{cpu:>16.2}", side.name());
            if is_spread || nodes > 1 {
                let first = firsts[side as usize].get_or_insert((cpu, rate));
                print!("{:>9.2}x{:>9.2}x", cpu / first.0, rate / first.1);
            }
            println!();
        }
    }
    Ok(())
}

/// Gives those of the nodes that have clients. PHP is connected to the first node.
fn at(nodes: &[SocketAddr], is_spread: bool) -> &[SocketAddr] {
    if is_spread || nodes.len() == 1 { nodes } else { &nodes[1..] }
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "gateway-server",
            Self::Theirs => "GatewayWorker",
        }
    }

    fn pushes(self) -> u64 {
        match self {
            Self::Ours => 400_000,
            Self::Theirs => 100_000,
        }
    }

    async fn measure(self, nodes: usize, is_spread: bool) -> anyhow::Result<Figures> {
        match self {
            Self::Ours => {
                let nats = Nats::start("cluster").await?.context("nats-server")?;
                let mut servers = Vec::new();
                for _ in 0..nodes {
                    let start = |command: &mut Command| {
                        command.args(["--cluster-nats", &nats.url()]).env("GATEWAY_SECRET_KEY", SECRET);
                        // A large outbox keeps clients that fall behind connected; they are not what is measured here.
                        command.args(["--shards", "1", "--outbox-bytes", "100000000"]);
                        command.args(["--log", "warn,gateway_server::server=info"]);
                    };
                    servers.push(Server::start_with(start).await?);
                }
                let websockets: Vec<_> = servers.iter().map(|server| server.websocket).collect();
                self.push(at(&websockets, is_spread), servers[0].register[0], SECRET, php()?).await
            }
            Self::Theirs => {
                let cluster = OriginalCluster::start(nodes, SECRET).await?;
                let websockets: Vec<_> = cluster.gateways.iter().map(|gateway| gateway.websocket).collect();
                let mut php = Command::new("php");
                php.env("CLIENT", root().join("tests/php/gatewayworker/autoload.php")).kill_on_drop(true);
                self.push(at(&websockets, is_spread), cluster.register, SECRET, php).await
            }
        }
    }

    async fn push(
        self,
        websockets: &[SocketAddr],
        register: SocketAddr,
        secret: &str,
        mut php: Command,
    ) -> anyhow::Result<Figures> {
        let received = Arc::new(AtomicU64::new(0));
        let mut input = String::new();
        for number in 0..CLIENTS {
            let client = Client::connect(websockets[number % websockets.len()]).await?;
            input += &format!("{} u{number}\n", client.id);
            let received = Arc::clone(&received);
            tokio::spawn(async move {
                let mut socket = client.socket.into_inner();
                let mut buffer = vec![0; 64 << 10];
                while let Ok(length @ 1..) = socket.read(&mut buffer).await {
                    received.fetch_add(length as u64, Ordering::Relaxed);
                }
            });
        }
        let pushes = self.pushes();
        let mut process = php
            .arg(root().join("tests/php/spread_pushes.php"))
            .args([register.to_string(), pushes.to_string(), secret.to_owned()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdin = process.stdin.take().context("its input")?;
        let mut stdout = BufReader::new(process.stdout.take().context("its output")?).lines();
        stdin.write_all(format!("{input}\n").as_bytes()).await?;
        anyhow::ensure!(stdout.next_line().await?.as_deref() == Some("bound"), "PHP has bound nobody");
        let before = received.load(Ordering::Relaxed);
        let (cpu, begun) = (cpu_of_descendants()?, Instant::now());
        stdin.write_all(b"go\n").await?;
        anyhow::ensure!(stdout.next_line().await?.as_deref() == Some("sent"), "PHP has not sent all");
        while received.load(Ordering::Relaxed) - before < pushes * FRAME {
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(120), "not everything came");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let elapsed = begun.elapsed().as_secs_f64();
        let cpu = cpu_of_descendants()? - cpu;
        stdin.write_all(b"\n").await?;
        process.wait().await?;
        Ok(Figures { cpu: cpu / pushes as f64 * 1e6, rate: pushes as f64 / elapsed })
    }
}
