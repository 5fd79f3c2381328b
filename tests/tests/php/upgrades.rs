//! Workers of the composer package through upgrades of the server: each event is handled once and in order, and answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use gateway_tests::{Greeted, Server, WorkerRunner, eventually, soon};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const CLIENTS: usize = 20;
const UPGRADES: usize = 20;
const WORKERS: usize = 2;
/// The number of messages that a client has not got an answer to, at most.
const AT_ONCE: usize = 8;

/// The number of answers by the pid of the worker that gave them.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<BTreeMap<u64, usize>>>);

impl Answers {
    fn note(&self, worker: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(worker).or_default() += 1;
    }

    fn by_worker(&self) -> BTreeMap<u64, usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_handled_once_and_in_order_through_twenty_upgrades() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2", "--operations", "127.0.0.1:0"]).await?;
    let runner = WorkerRunner::start(server.register[0], WORKERS).await?;
    for _ in 0..WORKERS {
        server.logs("a worker joined").await?;
    }
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Greeted::connect(server.websocket, "/", &[]).await?.client);
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let answers = Answers::default();
    let talking = clients.into_iter().map(|client| {
        let (stopped, answers) = (stopped.clone(), answers.clone());
        tokio::spawn(async move {
            let (mut writer, mut reader) = client.socket.split();
            let mut sent = 0;
            let mut answered = 0;
            loop {
                let is_over = *stopped.borrow();
                if sent < answered + AT_ONCE && !is_over {
                    sent += 1;
                    writer.send(Message::text(format!("m{sent}"))).await?;
                    continue;
                }
                if answered == sent {
                    return anyhow::Ok(sent);
                }
                let Some(message) = soon("an answer", reader.next()).await?.transpose()? else {
                    anyhow::bail!("the connection has ended behind answer {answered}");
                };
                let Message::Text(text) = message else { continue };
                let answer: Value = serde_json::from_str(&text)?;
                answered += 1;
                answers.note(answer["worker"].as_u64().context("a worker's pid")?);
                anyhow::ensure!(answer["message"] == json!(format!("m{answered}")), "{answer} as {answered}");
                anyhow::ensure!(answer["session"]["messages"] == json!(answered), "{answer}");
            }
        })
    });
    let talking: Vec<_> = talking.collect();
    for _ in 0..UPGRADES {
        let upgraded = server.upgrade().await?;
        anyhow::ensure!(upgraded["clients"] == CLIENTS, "{upgraded}");
        // The next upgrade comes once each worker has answered more than what it may have answered before this one.
        let before = answers.by_worker();
        let is_served = async || {
            let served = |(worker, now): (&u64, &usize)| {
                *now > before.get(worker).copied().unwrap_or(0) + AT_ONCE * CLIENTS
            };
            Ok(answers.by_worker().iter().filter(|answers| served(*answers)).count())
        };
        eventually("both workers are served again", WORKERS, is_served).await?;
    }
    stop.send_replace(true);
    let mut handled = 0;
    for sent in try_join_all(talking).await? {
        handled += sent?;
    }
    anyhow::ensure!(handled > CLIENTS * UPGRADES, "only {handled} messages");
    let connects = runner.diary()?.iter().filter(|line| line.starts_with("connect ")).count();
    assert_eq!(connects, CLIENTS);
    // All clients have gone, and each is told of once.
    eventually("onClose", CLIENTS, async || {
        Ok(runner.diary()?.iter().filter(|line| line.starts_with("close ")).count())
    })
    .await
}
