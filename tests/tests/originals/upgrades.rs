//! Unmodified BusinessWorker processes of GatewayWorker through upgrades of our server: each event is handled once and in order, and
//! answered. The test is skipped where the sources are not present.

use futures_util::future::try_join_all;
use gateway_tests::{BusinessWorkers, Client, Greeted, OriginalStack, Server, eventually, skip};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const CLIENTS: usize = 10;
const UPGRADES: usize = 20;

async fn ask(client: &mut Client, message: &str) -> anyhow::Result<Value> {
    client.send(Message::text(message)).await?;
    Ok(serde_json::from_str(&client.text().await?)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn business_workers_notice_no_upgrade() -> anyhow::Result<()> {
    if let Some(reason) = OriginalStack::missing() {
        skip("business_workers_notice_no_upgrade", &reason);
        return Ok(());
    }
    let mut server = Server::start(&["--shards", "2", "--operations", "127.0.0.1:0"]).await?;
    let workers = BusinessWorkers::start(server.register[0], 2, "").await?;
    eventually("a worker serves", true, async || {
        Ok(Greeted::connect(server.websocket, "/", &[]).await?.init["worker"].is_i64())
    })
    .await?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Greeted::connect(server.websocket, "/", &[]).await?.client);
    }
    let ids: Vec<_> = clients.iter().map(|client| client.id).collect();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let talking = clients.into_iter().map(|mut client| {
        let stopped = stopped.clone();
        tokio::spawn(async move {
            let mut asked = 0;
            while !*stopped.borrow() {
                asked += 1;
                let answer = ask(&mut client, &format!("m{asked}")).await?;
                anyhow::ensure!(answer["message"] == json!(format!("m{asked}")), "{answer} as {asked}");
                anyhow::ensure!(answer["session"]["messages"] == json!(asked), "{answer} as {asked}");
            }
            anyhow::Ok(asked)
        })
    });
    let talking: Vec<_> = talking.collect();
    for _ in 0..UPGRADES {
        let upgraded = server.upgrade().await?;
        anyhow::ensure!(upgraded["clients"].as_u64() >= Some(CLIENTS as u64), "{upgraded}");
    }
    stop.send_replace(true);
    for asked in try_join_all(talking).await? {
        anyhow::ensure!(asked? > 1);
    }
    eventually("onClose of each, once", CLIENTS, async || {
        let diary = workers.diary()?;
        let closes =
            diary.iter().filter(|line| ids.iter().any(|id| line.starts_with(&format!("close {id} "))));
        Ok(closes.count())
    })
    .await
}
