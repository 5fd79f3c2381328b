//! Workers of the composer package through upgrades of the server: each event is handled once and in order, and answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::try_join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use gateway_tests::{Greeted, Server, WorkerRunner, eventually, soon};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const CLIENTS: usize = 20;
const UPGRADES: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_handled_once_and_in_order_through_twenty_upgrades() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2", "--operations", "127.0.0.1:0"]).await?;
    let runner = WorkerRunner::start(server.register[0], 2).await?;
    for _ in 0..2 {
        server.logs("a worker joined").await?;
    }
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Greeted::connect(server.websocket, "/", &[]).await?.client);
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let all_answered = Arc::new(AtomicUsize::new(0));
    let talking = clients.into_iter().map(|client| {
        let (stopped, all_answered) = (stopped.clone(), Arc::clone(&all_answered));
        tokio::spawn(async move {
            let (mut writer, mut reader) = client.socket.split();
            let mut sent = 0;
            let mut answered = 0;
            loop {
                let is_over = *stopped.borrow();
                if sent < answered + 8 && !is_over {
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
                all_answered.fetch_add(1, Ordering::Relaxed);
                anyhow::ensure!(answer["message"] == json!(format!("m{answered}")), "{answer} as {answered}");
                anyhow::ensure!(answer["session"]["messages"] == json!(answered), "{answer}");
            }
        })
    });
    let talking: Vec<_> = talking.collect();
    for _ in 0..UPGRADES {
        let upgraded = server.upgrade().await?;
        anyhow::ensure!(upgraded["clients"] == CLIENTS, "{upgraded}");
        // A connection of PHP that is lost twice without any answer in between is an error to the call that waits for it.
        let served = all_answered.load(Ordering::Relaxed) + 2 * CLIENTS;
        let is_served = async || Ok(all_answered.load(Ordering::Relaxed) >= served);
        eventually("PHP is served again", true, is_served).await?;
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
