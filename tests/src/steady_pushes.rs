//! A PHP process that pushes numbered messages to many clients without an end, and these clients, which take them each once and in order.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use gateway_wire::bridge::{AnswerValue, Query};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{Client, PATIENCE, ResendingPhp, Server};

/// The pause between two rounds, so that a machine has time for others.
const PAUSE: Duration = Duration::from_millis(2);
/// The messages of each fifth round have this many bytes more, which no buffer of a connection takes at once.
const LONG: usize = 20_000;

pub struct SteadyPushes {
    clients: usize,
    /// How many rounds the pushing process has begun.
    begun: watch::Receiver<usize>,
    is_over: watch::Sender<bool>,
    pushing: JoinSet<anyhow::Result<usize>>,
    /// How many messages each client has taken.
    taken: watch::Receiver<Vec<usize>>,
    taking: JoinSet<()>,
    /// Messages that came twice, too early or not at all.
    wrong: Arc<Mutex<Vec<String>>>,
}

impl SteadyPushes {
    /// Pushes to so many clients. The server has `others` besides, which nobody pushes to.
    pub async fn start(server: &Server, clients: usize, others: usize) -> anyhow::Result<Self> {
        let mut php = ResendingPhp::connect(server.register[0]).await?;
        let (counts, taken) = watch::channel(vec![0; clients]);
        let (counts, wrong) = (Arc::new(counts), Arc::new(Mutex::new(Vec::new())));
        let mut taking = JoinSet::new();
        for number in 0..clients {
            let client = Client::connect(server.websocket).await?;
            php.bind(client.id, &uid(number)).await?;
            taking.spawn(take(number, client, Arc::clone(&counts), Arc::clone(&wrong)));
        }
        php.confirmed().await?;
        let (rounds, begun) = watch::channel(0);
        let (is_over, over) = watch::channel(false);
        let mut pushing = JoinSet::new();
        pushing.spawn(push(php, clients, clients + others, rounds, over));
        Ok(Self { clients, begun, is_over, pushing, taken, taking, wrong })
    }

    /// Waits until all clients have taken a message that is pushed from now on.
    pub async fn served(&mut self) -> anyhow::Result<()> {
        let next = *self.begun.borrow() + 1;
        let all = self.taken.wait_for(|taken| taken.iter().all(|taken| *taken >= next));
        let is_served = tokio::time::timeout(PATIENCE, all).await.is_ok_and(|all| all.is_ok());
        self.check()?;
        if is_served {
            return Ok(());
        }
        let taken = self.taken.borrow().clone();
        if let Some(ended) = self.pushing.try_join_next() {
            ended?.with_context(|| format!("{next} rounds were begun, and {taken:?} taken"))?;
        }
        bail!("not every client has taken round {next} within {PATIENCE:?}: {taken:?}")
    }

    /// Pushes no more, and checks that each client has got everything.
    pub async fn finish(mut self) -> anyhow::Result<usize> {
        self.is_over.send_replace(true);
        let rounds = self.pushing.join_next().await.context("nobody pushes")???;
        let all = self.taken.wait_for(|taken| taken.iter().all(|taken| *taken >= rounds));
        let is_complete = tokio::time::timeout(PATIENCE, all).await.is_ok_and(|all| all.is_ok());
        let taken = self.taken.borrow().clone();
        ensure!(is_complete, "{rounds} messages were pushed to each, and {taken:?} taken");
        ensure!(
            self.taking.len() == self.clients && self.taking.try_join_next().is_none(),
            "a client was closed"
        );
        wrong(&self.wrong)?;
        Ok(rounds)
    }

    /// Ends after the server has died with its clients: each has got what it got once and in order.
    pub async fn abandon(mut self) -> anyhow::Result<()> {
        self.pushing.abort_all();
        while tokio::time::timeout(PATIENCE, self.taking.join_next())
            .await
            .context("a client is still open")?
            .is_some()
        {}
        self.check()
    }

    fn check(&self) -> anyhow::Result<()> {
        wrong(&self.wrong)
    }
}

fn wrong(wrong: &Mutex<Vec<String>>) -> anyhow::Result<()> {
    let wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(wrong.is_empty(), "{wrong:?}");
    Ok(())
}

fn uid(number: usize) -> String {
    format!("c{number}")
}

fn message(number: usize, round: usize) -> String {
    let mut message = format!("{number} {round} ");
    if round.is_multiple_of(5) {
        let _ = write!(message, "{round:0LONG$}");
    }
    message
}

async fn push(
    mut php: ResendingPhp,
    clients: usize,
    all: usize,
    rounds: watch::Sender<usize>,
    mut is_over: watch::Receiver<bool>,
) -> anyhow::Result<usize> {
    let mut round = 0;
    while !*is_over.borrow() {
        round += 1;
        rounds.send_replace(round);
        for number in 0..clients {
            php.send_to_uid(&uid(number), &message(number, round)).await?;
        }
        php.confirmed().await?;
        let count = php.ask(Query::ClientCount {}).await?;
        ensure!(count == AnswerValue::Int(all as i64), "{count:?} clients");
        // The wait ends early with the load.
        let _ = tokio::time::timeout(PAUSE, is_over.wait_for(|is_over| *is_over)).await;
    }
    Ok(round)
}

/// Takes messages until the connection ends.
async fn take(
    number: usize,
    mut client: Client,
    counts: Arc<watch::Sender<Vec<usize>>>,
    wrong: Arc<Mutex<Vec<String>>>,
) {
    for round in 1.. {
        let Ok(text) = client.text().await else { return };
        if text.as_str() != message(number, round) {
            let start: String = text.chars().take(40).collect();
            let fault = format!("client {number} got {start:?} as message {round}");
            wrong.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
        }
        counts.send_modify(|counts| counts[number] = round);
    }
}
