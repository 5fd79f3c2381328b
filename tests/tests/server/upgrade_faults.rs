//! Upgrades in which one of the two processes is killed or halted at any moment: the clients have one server in the end, which is the old
//! one, or the new one with everything, or, when the old one has died too early, a fresh one.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use gateway_tests::{Answer, Client, Operator, ResendingPhp, Server, children, eventually, soon};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::JoinHandle;

const CLIENTS: usize = 50;

struct Served {
    server: Server,
    php: ResendingPhp,
    clients: Vec<Client>,
    pushed: usize,
}

impl Served {
    async fn start() -> anyhow::Result<Self> {
        let server = with_fixed_ports().await?;
        let mut php = ResendingPhp::connect(server.register[0]).await?;
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let client = Client::connect(server.websocket).await?;
            php.bind(client.id, &format!("c{number}")).await?;
            clients.push(client);
        }
        php.confirmed().await?;
        Ok(Self { server, php, clients, pushed: 0 })
    }

    /// Asks for an upgrade, and waits until the new process is there.
    async fn upgrade(&self) -> anyhow::Result<(Pid, JoinHandle<anyhow::Result<Answer>>)> {
        let (operator, old) = (Operator::of(&self.server)?, self.server.pid()?);
        let before = children(old)?;
        let answer = tokio::spawn(async move { operator.ask("POST", "/upgrade", "").await });
        let start = Instant::now();
        loop {
            let new = children(old)?.into_iter().find(|child| !before.contains(child));
            // Before the child runs the program, its parent waits for that, and a halt would be the parent's.
            if let Some(new) = new.filter(|new| runs_the_program(*new)) {
                return Ok((new, answer));
            }
            if answer.is_finished() {
                anyhow::bail!("no new process: {:?}", answer.await?);
            }
            ensure!(start.elapsed() < Duration::from_secs(10), "no new process");
            tokio::task::yield_now().await;
        }
    }

    /// Pushes to each client, which gets that and nothing else.
    async fn push(&mut self) -> anyhow::Result<()> {
        for number in 0..CLIENTS {
            self.php.send_to_uid(&format!("c{number}"), &format!("push {}", self.pushed)).await?;
        }
        self.php.confirmed().await?;
        for client in &mut self.clients {
            ensure!(client.text().await? == format!("push {}", self.pushed));
        }
        self.pushed += 1;
        Ok(())
    }
}

/// A free port that the system gives to no connection by itself, as those of other tests would take it while nobody listens.
fn lasting_port() -> anyhow::Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 100) as u16 * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
}

/// Starts a server on ports of which it could be started again. Another process may take one of them first.
async fn with_fixed_ports() -> anyhow::Result<Server> {
    let mut tries = 0;
    loop {
        let [websocket, register, operations] =
            [lasting_port()?, lasting_port()?, lasting_port()?].map(|port| port.to_string());
        let ports = ["--websocket", &websocket, "--register", &register, "--operations", &operations];
        match Server::start(&[ports.as_slice(), &["--shards", "2"]].concat()).await {
            Err(_) if tries < 20 => tries += 1,
            result => return result,
        }
    }
}

/// Whether the child runs the program already. Only the program's own environment has the variable.
fn runs_the_program(child: Pid) -> bool {
    let environment = std::fs::read(format!("/proc/{child}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(b"GATEWAY_HANDOVER="))
}

/// Moments within an upgrade, which takes some ten milliseconds.
fn moments(count: u32) -> impl Iterator<Item = Duration> {
    (0..count).map(move |number| Duration::from_micros(u64::from(60_000 * number / count)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_that_is_killed_costs_nothing() -> anyhow::Result<()> {
    let mut served = Served::start().await?;
    let (mut kept, mut given) = (0, 0);
    for moment in moments(60) {
        let (new, answer) = served.upgrade().await?;
        tokio::time::sleep(moment).await;
        if answer.is_finished() {
            // It serves already, and is the old one of the next round.
            served.server.adopt(new);
            given += 1;
        } else {
            kill(new, Signal::SIGKILL)?;
            let killed = Instant::now();
            match soon("the answer", answer).await?? {
                Ok(answer) if answer.status == 200 => {
                    // The decision had been taken before, so the server has died like any other.
                    served = Served::start().await?;
                    continue;
                }
                Ok(answer) => {
                    ensure!(answer.status == 409, "{answer:?}");
                    kept += 1;
                }
                Err(error) => return Err(error),
            }
            served.push().await?;
            ensure!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
        }
        served.push().await?;
    }
    eprintln!("{kept} upgrades were given up, and {given} were through before");
    ensure!(kept >= 5, "only {kept} were killed in time");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_that_halts_is_given_up() -> anyhow::Result<()> {
    let mut served = Served::start().await?;
    let (new, answer) = served.upgrade().await?;
    kill(new, Signal::SIGSTOP)?;
    let answer = tokio::time::timeout(Duration::from_secs(30), answer).await???;
    if answer.status == 200 {
        // It was through before it was halted.
        kill(new, Signal::SIGCONT)?;
        served.server.adopt(new);
    } else {
        ensure!(answer.status == 409 && answer.body.contains("has done nothing for"), "{answer:?}");
    }
    served.push().await?;
    served.server.upgrade().await?;
    served.push().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_old_process_dies_the_new_one_has_everything_or_serves_afresh() -> anyhow::Result<()> {
    let (mut whole, mut afresh) = (0, 0);
    for moment in moments(12) {
        let mut served = Served::start().await?;
        let (new, _answer) = served.upgrade().await?;
        tokio::time::sleep(moment).await;
        let old = served.server.pid()?;
        served.server.adopt(new);
        // Without an error it was killed; one that has handed over may have ended by itself.
        let _ = kill(old, Signal::SIGKILL);
        // Somebody serves, whoever it is.
        let operator = Operator::of(&served.server)?;
        eventually("a server", true, async || {
            Ok(operator.get("/readyz").await.is_ok_and(|answer| answer.status == 200))
        })
        .await?;
        if operator.json("/status").await?["clients"] == CLIENTS {
            whole += 1;
            served.push().await?;
        } else {
            afresh += 1;
            for client in &mut served.clients {
                client.gone().await?;
            }
            Client::connect(served.server.websocket).await?;
        }
    }
    eprintln!("{whole} times the new process had everything, and {afresh} times it served afresh");
    Ok(())
}
