//! The cost of a call of the class in PHP: the extension beside GatewayWorker's PHP client, in one run.
//!
//! `make bench-php` runs it. Without the original's sources (GATEWAYCLIENT_PATH and the other variables) only the extension
//! is measured.

mod floor;

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use gateway_tests::{Client, OriginalStack, Server, php, root};
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

const METHODS: [&str; 6] = ["sendToUid", "bindUid", "isUidOnline", LATER, "getClientIdByUid", "setSession"];
/// A hundred times `isUidOnline` at once, whose answers are taken later. The original has no such thing.
const LATER: &str = "later";
const ROUNDS: usize = 3;

/// A side of the comparison: a PHP client together with a server.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Ours,
    Original { persistent: bool },
}

/// The medians over the rounds; times are in nanoseconds.
#[derive(Clone, Copy, Default)]
struct Figures {
    rate: f64,
    first: f64,
    p50: f64,
    p99: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let original = match OriginalStack::missing() {
        None => Some(OriginalStack::start().await?),
        Some(reason) => {
            println!("the extension alone, without the original: {reason}");
            None
        }
    };
    let ours = Place::new(server.websocket, server.register[0]).await?;
    let theirs = match &original {
        Some(stack) => Some(Place::new(stack.websocket, stack.register).await?),
        None => None,
    };

    println!(
        "\n{:<18}{:>5}  {:<22}{:>12}{:>12}{:>12}{:>12}{:>9}",
        "method", "procs", "client", "calls/s", "first µs", "p50 µs", "p99 µs", "ratio"
    );
    for method in METHODS {
        for processes in [1, 8] {
            let mine = ours.measure(Side::Ours, method, processes).await?;
            print_row(method, processes, "extension", mine, None);
            let Some(theirs) = theirs.as_ref().filter(|_| method != LATER) else { continue };
            for persistent in [true, false] {
                let name = if persistent { "original, persistent" } else { "original" };
                let figures = theirs.measure(Side::Original { persistent }, method, processes).await?;
                print_row(method, processes, name, figures, Some(mine));
            }
        }
    }

    println!();
    floor::print()?;
    let stopped = while_stopped(&server).await?;
    println!("sendToUid while the server is stopped with SIGSTOP, ns: {stopped}");
    Ok(())
}

/// Measures what a send costs PHP while the server is stopped.
async fn while_stopped(server: &Server) -> anyhow::Result<String> {
    let mut process = php()?
        .arg(root().join("tests/php/bench_stopped.php"))
        .args([server.register[0].to_string().as_str(), "50000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut input, output) =
        (process.stdin.take().context("stdin")?, process.stdout.take().context("stdout")?);
    let mut lines = BufReader::new(output).lines();
    let mut line = async || lines.next_line().await?.context("PHP ended early");
    anyhow::ensure!(line().await? == "up");
    server.signal(Signal::SIGSTOP)?;
    input.write_all(b"go\n").await?;
    let figures = line().await;
    server.signal(Signal::SIGCONT)?;
    input.write_all(b"end\n").await?;
    anyhow::ensure!(process.wait().await?.success());
    figures
}

fn print_row(method: &str, processes: usize, client: &str, figures: Figures, ours: Option<Figures>) {
    let ratio = ours.map_or(String::new(), |ours| format!("{:.1}x", ours.rate / figures.rate));
    println!(
        "{method:<18}{processes:>5}  {client:<22}{:>12.0}{:>12.1}{:>12.2}{:>12.2}{ratio:>9}",
        figures.rate,
        figures.first / 1e3,
        figures.p50 / 1e3,
        figures.p99 / 1e3
    );
}

/// A server with one client that reads everything that it gets.
struct Place {
    register: SocketAddr,
    client: String,
}

impl Place {
    async fn new(websocket: SocketAddr, register: SocketAddr) -> anyhow::Result<Self> {
        let mut client = Client::connect(websocket).await?;
        let id = client.id.to_string();
        tokio::spawn(
            async move { while client.socket.next().await.is_some_and(|message| message.is_ok()) {} },
        );
        Ok(Self { register, client: id })
    }

    async fn measure(&self, side: Side, method: &str, processes: usize) -> anyhow::Result<Figures> {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let running = (0..processes).map(|_| self.run(side, method, processes));
            let each = try_join_all(running).await?;
            let mean = |of: fn(&Figures) -> f64| each.iter().map(of).sum::<f64>() / processes as f64;
            rounds.push(Figures {
                rate: each.iter().map(|figures| figures.rate).sum(),
                first: mean(|figures| figures.first),
                p50: mean(|figures| figures.p50),
                p99: mean(|figures| figures.p99),
            });
        }
        let median = |of: fn(&Figures) -> f64| {
            let mut values: Vec<_> = rounds.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Ok(Figures {
            rate: median(|figures| figures.rate),
            first: median(|figures| figures.first),
            p50: median(|figures| figures.p50),
            p99: median(|figures| figures.p99),
        })
    }

    async fn run(&self, side: Side, method: &str, processes: usize) -> anyhow::Result<Figures> {
        let is_query = method == LATER || method.starts_with("is") || method.starts_with("get");
        let (mut command, calls) = match side {
            Side::Ours => {
                let mut command = php()?;
                command.env_remove("GATEWAYCLIENT_PATH");
                (command, if is_query { 20_000 } else { 200_000 })
            }
            Side::Original { persistent } => {
                let mut command = Command::new("php");
                command.args(["-n", "-d", "error_reporting=0"]);
                (command, if persistent { 10_000 } else { 2_000 })
            }
        };
        let persistent = side != Side::Original { persistent: false };
        command.arg(root().join("tests/php/bench.php")).arg(self.register.to_string()).arg(method);
        command.arg((calls / processes).to_string()).arg(&self.client).arg(u8::from(persistent).to_string());
        let output = command.output().await?;
        let text = String::from_utf8(output.stdout)?;
        let value: serde_json::Value = serde_json::from_str(text.trim())
            .map_err(|error| anyhow::anyhow!("{method}: {error}: {text} {:?}", output.stderr))?;
        let number = |key: &str| value[key].as_f64().unwrap_or_default();
        Ok(Figures { rate: number("rate"), first: number("first"), p50: number("p50"), p99: number("p99") })
    }
}
