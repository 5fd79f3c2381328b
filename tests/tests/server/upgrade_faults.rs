//! Upgrades under load in which one of the two processes is killed or halted at any moment: the clients have one server in the end,
//! which is the old one, or the new one with everything, or, when the old one has died too early, a fresh one.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use gateway_tests::{
    Answer, Operator, Rng, Server, SteadyPushes, children, eventually, runs_to_take_over, send_signal, soon,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::JoinHandle;

const CLIENTS: usize = 50;

/// How many upgrades fail in all tests of this file. `FAULTY_UPGRADES` asks for another number.
fn faulty_upgrades() -> usize {
    std::env::var("FAULTY_UPGRADES").ok().and_then(|number| number.parse().ok()).unwrap_or(50)
}

/// A part of all upgrades, in hundredths.
fn share(hundredths: usize) -> usize {
    (faulty_upgrades() * hundredths / 100).max(1)
}

struct Served {
    server: Server,
    pushes: SteadyPushes,
}

impl Served {
    async fn start() -> anyhow::Result<Self> {
        let server = with_fixed_ports().await?;
        let pushes = SteadyPushes::start(&server, CLIENTS, 0).await?;
        Ok(Self { server, pushes })
    }

    /// Begins anew with other clients, after the server of the ones before has died.
    async fn begin_anew(self) -> anyhow::Result<Self> {
        let Self { server, pushes } = self;
        pushes.abandon().await?;
        let pushes = SteadyPushes::start(&server, CLIENTS, 0).await?;
        Ok(Self { server, pushes })
    }

    /// Asks for an upgrade, and waits until the new process is there.
    async fn upgrade(&self) -> anyhow::Result<Upgrading> {
        let (operator, old) = (Operator::of(&self.server)?, self.server.pid()?);
        let before = children(old)?;
        let answer = tokio::spawn(async move { operator.ask("POST", "/upgrade", "").await });
        let start = Instant::now();
        loop {
            let new = children(old)?.into_iter().find(|child| !before.contains(child));
            // Before the child runs the program, its parent waits for that, and a halt would be the parent's.
            if let Some(new) = new.filter(|new| runs_to_take_over(*new)) {
                return Ok(Upgrading { old, new, answer });
            }
            if answer.is_finished() {
                // On a busy machine it may be over before anybody has looked.
                let answered = answer.await??;
                ensure!(answered.status == 200, "no new process: {answered:?}");
                let pid = serde_json::from_str::<serde_json::Value>(&answered.body)?["pid"].as_i64();
                let new = Pid::from_raw(pid.context("the new process")?.try_into()?);
                return Ok(Upgrading { old, new, answer: tokio::spawn(async { Ok(answered) }) });
            }
            ensure!(start.elapsed() < Duration::from_secs(10), "no new process");
            tokio::task::yield_now().await;
        }
    }
}

impl Served {
    /// How long an upgrade takes here and now, once the new process runs: the shortest of three.
    async fn time_of_an_upgrade(&mut self) -> anyhow::Result<Duration> {
        let times = [self.time_of_one().await?, self.time_of_one().await?, self.time_of_one().await?];
        Ok(times.into_iter().min().unwrap_or_default())
    }

    async fn time_of_one(&mut self) -> anyhow::Result<Duration> {
        let Upgrading { new, answer, .. } = self.upgrade().await?;
        let start = Instant::now();
        let answer = soon("the answer", answer).await???;
        ensure!(answer.status == 200, "{answer:?}");
        let taken = start.elapsed();
        self.server.adopt(new);
        self.pushes.served().await?;
        Ok(taken)
    }
}

/// An upgrade that is under way.
struct Upgrading {
    old: Pid,
    new: Pid,
    answer: JoinHandle<anyhow::Result<Answer>>,
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

/// Moments within an upgrade that takes as long as `upgrade`, evenly spread, and some behind it.
fn moments(count: usize, upgrade: Duration) -> impl Iterator<Item = Duration> {
    let mut rng = Rng::new(u64::from(std::process::id()));
    let within = (upgrade * 5 / 4).as_micros() as usize / count;
    (0..count).map(move |number| Duration::from_micros((within * number + rng.below(within + 1)) as u64))
}

/// The times after which all clients were served again, by what has become of an upgrade.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    /// Waits until all clients are served again, and notes the time since `fault`.
    async fn note(&mut self, fault: Instant, served: &mut Served) -> anyhow::Result<Duration> {
        served.pushes.served().await?;
        let taken = fault.elapsed();
        self.0.push(taken);
        Ok(taken)
    }

    fn print(mut self, what: &str) {
        self.0.sort();
        match (self.0.get(self.0.len() / 2), self.0.last()) {
            (Some(median), Some(longest)) => {
                let times = self.0.len();
                eprintln!(
                    "{what}: {times} times; all served again after {median:?} (median), {longest:?} (longest)"
                );
            }
            _ => eprintln!("{what}: never"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_that_is_killed_costs_nothing() -> anyhow::Result<()> {
    let mut served = Served::start().await?;
    let (mut kept, mut given, mut died) = (Times::default(), Times::default(), 0);
    let count = share(40);
    for moment in moments(count, served.time_of_an_upgrade().await?) {
        let Upgrading { new, answer, .. } = served.upgrade().await?;
        tokio::time::sleep(moment).await;
        if answer.is_finished() {
            let answer = answer.await??;
            ensure!(answer.status == 200, "{answer:?}");
            // It serves already, and is the old one of the next round.
            served.server.adopt(new);
            given.note(Instant::now(), &mut served).await?;
            continue;
        }
        kill(new, Signal::SIGKILL)?;
        let killed = Instant::now();
        let answer = soon("the answer", answer).await???;
        if answer.status == 200 {
            // The decision had been taken before, so the server has died like any other.
            died += 1;
            served.pushes.abandon().await?;
            served = Served::start().await?;
            continue;
        }
        ensure!(answer.status == 409, "{answer:?}");
        let taken = kept.note(killed, &mut served).await?;
        ensure!(taken < Duration::from_secs(5), "{taken:?}");
    }
    let rounds = served.pushes.finish().await?;
    let in_time = kept.0.len();
    kept.print("the new process was killed, and the old one goes on");
    given.print("the new process had served before");
    eprintln!("{died} were killed after the decision; {rounds} messages to each client of the last server");
    ensure!(in_time > 0, "none of {count} was killed in time");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_that_halts_is_given_up() -> anyhow::Result<()> {
    let mut served = Served::start().await?;
    let (mut kept, mut given) = (Times::default(), Times::default());
    for moment in moments(share(10), served.time_of_an_upgrade().await?) {
        let Upgrading { new, answer, .. } = served.upgrade().await?;
        tokio::time::sleep(moment).await;
        send_signal(new, Signal::SIGSTOP)?;
        let halted = Instant::now();
        let answer = soon("the answer", answer).await???;
        if answer.status == 200 {
            // It was through before it was halted.
            kill(new, Signal::SIGCONT)?;
            served.server.adopt(new);
            given.note(Instant::now(), &mut served).await?;
        } else {
            ensure!(answer.status == 409 && answer.body.contains("has done nothing for"), "{answer:?}");
            kept.note(halted, &mut served).await?;
        }
    }
    served.server.upgrade().await?;
    served.pushes.served().await?;
    served.pushes.finish().await?;
    kept.print("the new process halted, and the old one goes on");
    given.print("the new process halted after the decision, and goes on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_old_process_dies_the_new_one_has_everything_or_serves_afresh() -> anyhow::Result<()> {
    let mut served = Served::start().await?;
    let (mut whole, mut afresh) = (Times::default(), Times::default());
    for moment in moments(share(40), served.time_of_an_upgrade().await?) {
        let Upgrading { old, new, answer } = served.upgrade().await?;
        tokio::time::sleep(moment).await;
        served.server.adopt(new);
        // Without an error it was killed; one that has handed over may have ended by itself.
        let _ = kill(old, Signal::SIGKILL);
        let killed = Instant::now();
        // Who has asked gets an answer or loses the connection.
        let answered = soon("the answer", answer).await??;
        if answered.is_ok_and(|answer| answer.status == 409) {
            // The new process was given up just before, as may be on a busy machine, so that nobody is left.
            served.pushes.abandon().await?;
            served = Served::start().await?;
            continue;
        }
        // Somebody serves, whoever it is.
        let operator = Operator::of(&served.server)?;
        eventually("a server", true, async || {
            Ok(operator.get("/readyz").await.is_ok_and(|answer| answer.status == 200))
        })
        .await?;
        // Clients that have stayed are there at once; others come only with the next load.
        if operator.json("/status").await?["clients"] == CLIENTS {
            whole.note(killed, &mut served).await?;
        } else {
            served = served.begin_anew().await?;
            afresh.note(killed, &mut served).await?;
        }
    }
    served.pushes.finish().await?;
    whole.print("the old process was killed, and the new one had everything");
    afresh.print("the old process was killed, and the new one serves afresh");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_process_that_halts_goes_on_later_or_has_handed_over() -> anyhow::Result<()> {
    /// Longer than a process waits for the other, and shorter.
    const HALTS: [Duration; 2] = [Duration::from_millis(6_500), Duration::from_millis(500)];
    let mut served = Served::start().await?;
    let (mut kept, mut given) = (Times::default(), Times::default());
    for (moment, halt) in
        moments(share(10), served.time_of_an_upgrade().await?).zip(HALTS.into_iter().cycle())
    {
        let Upgrading { old, new, answer } = served.upgrade().await?;
        tokio::time::sleep(moment).await;
        // Without an error it was halted; one that has handed over may have ended by itself.
        let _ = send_signal(old, Signal::SIGSTOP);
        tokio::time::sleep(halt).await;
        let _ = kill(old, Signal::SIGCONT);
        let goes_on = Instant::now();
        let answer = soon("the answer", answer).await???;
        if answer.status == 200 {
            served.server.adopt(new);
            given.note(goes_on, &mut served).await?;
        } else {
            ensure!(answer.status == 409, "{answer:?}");
            kept.note(goes_on, &mut served).await?;
        }
    }
    served.pushes.finish().await?;
    kept.print("the old process halted for a while, and goes on");
    given.print("the old process halted for a while, and hands over or has handed over");
    Ok(())
}
