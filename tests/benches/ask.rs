//! What it costs to ask a page: the time from the question until PHP has the page's answer, beside a message to a client that the page
//! sends back, until the worker that handles its messages has it. One is under way at a time, and both take turns.
//!
//! `make bench-ask` runs it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use gateway_tests::{BridgeWorker, PhpPeer, ResumingPage, Server, TrackedSend};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Call, EventKind, Order, Query, Reply, Request, WorkerToServer};
use serde_bytes::Bytes;

const ROUNDS: usize = 40;
/// The times that are measured of each kind in a round, and those before the first round that are not.
const EACH: usize = 250;
const WARM_UP: usize = 500;
/// A time for which nobody waits.
const WAIT: u32 = 10_000;
const MESSAGE: &str = "is it right, all that stands here: 64 bytes of some text, or so?";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let client = page.id()?;
    let mut worker = BridgeWorker::connect(server.register[0]).await?;
    worker.say(&WorkerToServer::Join { name: "echo", moves: false }).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let turns = [WARM_UP].into_iter().chain([EACH; ROUNDS]);
    let answering = tokio::spawn(async move {
        for turn in turns {
            for _ in 0..turn {
                let (id, question) = page.question().await?;
                page.answer(id, &question).await?;
            }
            for _ in 0..turn {
                let text = page.text().await?;
                page.send(&text).await?;
            }
        }
        anyhow::Ok(())
    });
    let (mut asked, mut echoed) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let turn = if round == 0 { WARM_UP } else { EACH };
        for number in 0..turn {
            let begin = Instant::now();
            ask(&mut php, client, (round * WARM_UP + number) as u64).await?;
            asked.push(begin.elapsed());
        }
        for _ in 0..turn {
            let begin = Instant::now();
            echo(&mut php, &mut worker, client).await?;
            echoed.push(begin.elapsed());
        }
    }
    answering.await??;
    println!("{:<28}{:>10}{:>10}", "one at a time", "p50 ms", "p99 ms");
    let asked = Figures::of(asked.split_off(WARM_UP));
    let echoed = Figures::of(echoed.split_off(WARM_UP));
    for (name, figures) in [("ask, answered", &asked), ("sendToClient, sent back", &echoed)] {
        println!("{name:<28}{:>10.3}{:>10.3}", figures.p50, figures.p99);
    }
    println!("{:<28}{:>10.3}{:>10.3}", "difference", asked.p50 - echoed.p50, asked.p99 - echoed.p99);
    Ok(())
}

/// Asks as `Gateway::ask` does: the question, and right behind it the query for the answers.
async fn ask(php: &mut PhpPeer, client: ClientId, id: u64) -> anyhow::Result<()> {
    let to = TrackedSend { client: Some(client), asks: true, ..TrackedSend::default() };
    let mut bytes = Vec::new();
    for call in [Call::Order(to.order(id, MESSAGE)), Call::Query(Query::Replies { id, wait: WAIT })] {
        php.seq += 1;
        Request { seq: php.seq, call }.encode(&mut bytes)?;
    }
    php.write(&bytes).await?;
    loop {
        match php.reply().await? {
            Reply::Ack { .. } => {}
            Reply::Answer { value: AnswerValue::Map(answers), .. } => {
                let (_, answer) = answers.first().context("an answer")?;
                ensure!(*answer == AnswerValue::Str(MESSAGE.as_bytes().to_vec()), "{answer:?}");
                return Ok(());
            }
            other => bail!("{other:?} instead of an answer"),
        }
    }
}

async fn echo(php: &mut PhpPeer, worker: &mut BridgeWorker, client: ClientId) -> anyhow::Result<()> {
    let message = Bytes::new(MESSAGE.as_bytes());
    php.order(Order::SendToClient { client, message, raw: false }).await?;
    loop {
        let (number, kind, of, body) = worker.told_of().await?;
        worker.say(&WorkerToServer::Progress { taken: number, done: number }).await?;
        if kind == EventKind::Message && of == client {
            ensure!(body == MESSAGE.as_bytes(), "another message came back");
            return Ok(());
        }
    }
}

/// Times in milliseconds.
struct Figures {
    p50: f64,
    p99: f64,
}

impl Figures {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        Self { p50: at(0.5), p99: at(0.99) }
    }
}
