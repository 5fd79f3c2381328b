//! Upgrades: a new process of the binary takes over from a running one, and nobody is disconnected, loses a message or gets one twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, ensure};
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use gateway_tests::{
    Client, Operator, PlainClient, ResendingPhp, ResumingPage, Server, TestCertificate, eventually,
};
use gateway_wire::bridge::{AnswerValue, Query};
use nix::unistd::Pid;
use tokio_tungstenite::tungstenite::Message;

const CLIENTS: usize = 60;
const PAGES: usize = 30;
const LINES: usize = 10;
const UPGRADES: usize = 20;

/// The message that ends each client's sequence.
const LAST: &str = "the last";

/// The messages of one client, which are `NAME NUMBER`, each once and in order.
struct Sequence {
    name: String,
    taken: usize,
}

impl Sequence {
    fn of(name: String) -> Self {
        Self { name, taken: 0 }
    }

    /// Takes a message. Gives whether it is the last.
    fn take(&mut self, text: &str) -> anyhow::Result<bool> {
        if text == LAST {
            return Ok(true);
        }
        let expected = format!("{} {}", self.name, self.taken);
        ensure!(text == expected, "{text:?} instead of {expected:?}");
        self.taken += 1;
        Ok(false)
    }
}

async fn take_all(name: String, mut client: Client) -> anyhow::Result<usize> {
    let mut sequence = Sequence::of(name);
    while !sequence.take(&client.text().await?)? {}
    Ok(sequence.taken)
}

async fn take_all_pages(name: String, mut page: ResumingPage) -> anyhow::Result<usize> {
    let mut sequence = Sequence::of(name);
    while !sequence.take(&page.text().await?)? {}
    Ok(sequence.taken)
}

async fn take_all_lines(name: String, mut line: PlainClient) -> anyhow::Result<usize> {
    let mut sequence = Sequence::of(name);
    while !sequence.take(&line.line().await?)? {}
    Ok(sequence.taken)
}

/// The priorities that the threads of a process have, each once.
fn priorities(process: Pid) -> anyhow::Result<BTreeSet<i32>> {
    let mut found = BTreeSet::new();
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end meanwhile.
        let Ok(stat) = std::fs::read_to_string(thread?.path().join("stat")) else { continue };
        // Behind the name, which stands in brackets and may hold any character.
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        found.insert(fields.split(' ').nth(16).context("a priority")?.parse()?);
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_twenty_upgrades() -> anyhow::Result<()> {
    let flags = ["--operations", "127.0.0.1:0", "--listener", "text://127.0.0.1:0", "--shards", "2"];
    let mut server = Server::start(&flags).await?;
    let mut php = ResendingPhp::connect(server.register[0]).await?;
    let (mut clients, mut pages, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    let mut names = Vec::new();
    for number in 0..CLIENTS {
        let client = Client::connect(server.websocket).await?;
        php.bind(client.id, &format!("c{number}")).await?;
        names.push(format!("c{number}"));
        clients.push(client);
    }
    for number in 0..PAGES {
        let page = ResumingPage::connected(server.websocket).await?;
        php.bind(page.id()?, &format!("p{number}")).await?;
        names.push(format!("p{number}"));
        pages.push(page);
    }
    for number in 0..LINES {
        let mut line = PlainClient::connect(server.listeners[0]).await?;
        let init: serde_json::Value = serde_json::from_str(&line.line().await?)?;
        let id = init["client_id"].as_str().context("a client_id")?.parse()?;
        php.bind(id, &format!("l{number}")).await?;
        names.push(format!("l{number}"));
        lines.push(line);
    }
    php.confirmed().await?;

    let done = Arc::new(AtomicBool::new(false));
    let pushing = {
        let done = Arc::clone(&done);
        tokio::spawn(async move {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                for name in &names {
                    php.send_to_uid(name, &format!("{name} {rounds}")).await?;
                }
                php.confirmed().await?;
                rounds += 1;
                let count = php.ask(Query::ClientCount {}).await?;
                ensure!(count == AnswerValue::Int(names.len() as i64), "{count:?} clients");
            }
            php.send_to_all(LAST).await?;
            php.confirmed().await?;
            anyhow::Ok((rounds, php.reconnects))
        })
    };
    let mut taking = Vec::new();
    for (number, client) in clients.into_iter().enumerate() {
        taking.push(tokio::spawn(take_all(format!("c{number}"), client)));
    }
    for (number, page) in pages.into_iter().enumerate() {
        taking.push(tokio::spawn(take_all_pages(format!("p{number}"), page)));
    }
    for (number, line) in lines.into_iter().enumerate() {
        taking.push(tokio::spawn(take_all_lines(format!("l{number}"), line)));
    }

    let mut pids = vec![server.pid()?];
    let usual = priorities(server.pid()?)?;
    for _ in 0..UPGRADES {
        let upgraded = server.upgrade().await?;
        ensure!(upgraded["clients"] == CLIENTS + PAGES + LINES, "{upgraded}");
        eprintln!("{upgraded}");
        pids.push(server.pid()?);
    }
    pids.dedup();
    ensure!(pids.len() == UPGRADES + 1, "{pids:?}");
    let now = priorities(server.pid()?)?;
    ensure!(
        now == usual,
        "after the hurry of the upgrades threads have the priorities {now:?} instead of {usual:?}"
    );
    done.store(true, Ordering::Relaxed);
    let (rounds, reconnects) = pushing.await??;
    for taken in try_join_all(taking).await? {
        assert_eq!(taken?, rounds);
    }
    ensure!(reconnects >= UPGRADES, "PHP has reconnected {reconnects} times");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_clients_stay_with_the_old_process_and_notice_nothing() -> anyhow::Result<()> {
    const TLS: usize = 12;
    const UPGRADES: usize = 3;
    let certificate = TestCertificate::new()?;
    let operations = ["--operations", "127.0.0.1:0"].map(str::to_owned);
    let flags = [certificate.flags().as_slice(), &operations].concat();
    let mut server = Server::start(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let operator = Operator::of(&server)?;
    let mut php = ResendingPhp::connect(server.register[0]).await?;
    let mut clients = Vec::new();
    for number in 0..TLS {
        let client = certificate.connect(server.websocket).await?;
        php.bind(client.id, &format!("t{number}")).await?;
        clients.push(client);
    }
    php.confirmed().await?;
    for upgrade in 0..UPGRADES {
        let upgraded = server.upgrade().await?;
        // After the first upgrade the new process sees plain sockets, which move like any other.
        let relayed = if upgrade == 0 { TLS } else { 0 };
        ensure!(upgraded["clients"] == TLS && upgraded["relayed_clients"] == relayed, "{upgraded}");
        for (number, client) in clients.iter_mut().enumerate() {
            let long = "x".repeat(100_000 * (upgrade + 1));
            php.send_to_uid(&format!("t{number}"), &format!("{upgrade} {long}")).await?;
            php.confirmed().await?;
            assert_eq!(client.text().await?, format!("{upgrade} {long}"));
            // The way of the client's own messages is shown by a ping.
            client.send(Message::Ping(vec![7; 100].into())).await?;
            loop {
                if let Message::Pong(bytes) = client.socket.next().await.context("the end")?? {
                    assert_eq!(bytes, vec![7; 100]);
                    break;
                }
            }
        }
        if upgrade == 0 {
            eventually("the relay's clients", Some(TLS as u64), async || {
                Ok(operator.json("/status").await?["relays"][0]["clients"].as_u64())
            })
            .await?;
        }
    }
    // A TLS client that comes now is the new process's own.
    let newcomer = certificate.connect(server.websocket).await?;
    newcomer.leave().await?;
    let half = clients.split_off(TLS / 2);
    for client in half {
        client.leave().await?;
    }
    eventually("the others", AnswerValue::Int(TLS as i64 / 2), async || php.ask(Query::ClientCount {}).await)
        .await?;
    for client in clients {
        client.leave().await?;
    }
    // The relay ends with its last client.
    assert!(server.exit().await?.success());
    Ok(())
}
