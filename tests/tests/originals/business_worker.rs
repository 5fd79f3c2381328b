//! Unmodified BusinessWorker processes of GatewayWorker handle the events of our server. The tests are skipped where its
//! sources are not present.

use std::collections::HashSet;
use std::process::Stdio;

use gateway_tests::{
    BusinessWorkers, Client, Greeted, OriginalGateway, OriginalStack, Server, WorkerRunner, eventually,
    extension, php, root, skip, soon,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;

fn is_missing(test: &str) -> bool {
    let missing = OriginalStack::missing();
    if let Some(reason) = &missing {
        skip(test, reason);
    }
    missing.is_some()
}

/// Waits until `count` workers serve. Each worker tells its process number to the clients that it greets.
async fn serving(server: &Server, count: usize) -> anyhow::Result<()> {
    eventually("the workers serve", count, async || {
        let mut workers = HashSet::new();
        let mut clients = Vec::new();
        for _ in 0..2 * count {
            let greeted = Greeted::connect(server.websocket, "/", &[]).await?;
            workers.extend(greeted.init["worker"].as_i64());
            clients.push(greeted.client);
        }
        Ok(workers.len())
    })
    .await
}

async fn ask(client: &mut Client, message: &str) -> anyhow::Result<Value> {
    client.send(Message::text(message)).await?;
    Ok(serde_json::from_str(&client.text().await?)?)
}

#[tokio::test]
async fn events_sessions_and_calls_are_those_of_gatewayworker() -> anyhow::Result<()> {
    if is_missing("events_sessions_and_calls_are_those_of_gatewayworker") {
        return Ok(());
    }
    let loaded = format!("extension={}", extension()?.display());
    let in_place = r"gateway.aliases=eager,GatewayWorker\Lib\Gateway".to_owned();
    // Even in a PHP that has loaded the extension, the workers use their own `Gateway` class, unless php.ini says otherwise.
    for (secret, settings) in [
        ("", vec![]),
        ("geheim", vec![]),
        ("geheim", vec![loaded.clone()]),
        ("geheim", vec![loaded, in_place]),
    ] {
        let server = Server::start_with(|command| {
            command.args(["--shards", "2"]).env("GATEWAY_SECRET_KEY", secret);
        })
        .await?;
        let events = root().join("tests/php/gatewayworker/Conversation.php");
        let workers = BusinessWorkers::start_in(&settings, events, server.register[0], 1, secret).await?;
        serving(&server, 1).await?;

        let headers = [("cookie", "user=7; theme=dark"), ("user-agent", "test")];
        let greeted = Greeted::connect(server.websocket, "/chat?room=a&x[]=1", &headers).await?;
        let (mut client, id) = (greeted.client, greeted.init["client_id"].clone());
        let session = |messages: u32| {
            json!({
                "messages": messages, "get": {"room": "a", "x": ["1"]}, "uri": "/chat?room=a&x[]=1", "agent": "test",
                "cookie": {"user": "7", "theme": "dark"},
            })
        };
        for (number, text) in ["hello", "中文", ""].into_iter().enumerate() {
            let answer = ask(&mut client, text).await?;
            assert_eq!((&answer["message"], &answer["session"]), (&json!(text), &session(number as u32 + 1)));
        }
        let answer = ask(&mut client, "server").await?;
        let port = client.socket.get_ref().local_addr()?.port();
        assert_eq!(
            answer["server"],
            json!({
                "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": port, "GATEWAY_ADDR": "127.0.0.1",
                "GATEWAY_PORT": server.websocket.port(), "GATEWAY_CLIENT_ID": id,
            })
        );

        let mut other = Client::connect(server.websocket).await?;
        assert_eq!(ask(&mut other, "join red").await?["members"], 1);
        let answer = ask(&mut client, "join red").await?;
        assert_eq!((&answer["members"], &answer["stored"]), (&json!(2), &session(4)));
        ask(&mut client, "say red").await?;
        assert_eq!(other.text().await?, format!("{} says something", client.id));

        client.send(Message::text("bye")).await?;
        assert_eq!(client.text().await?, "bye");
        client.gone().await?;
        // The client went before the worker gave the session of its last event back; onClose has the same session on the
        // original.
        let gone = format!("close {} after 6", client.id);
        eventually("onClose with the session", true, async || Ok(workers.diary()?.contains(&gone))).await?;
    }
    Ok(())
}

/// The longest packet in bytes that GatewayWorker accepts, and the longest message that our server takes from a client by
/// default.
const LONGEST: usize = 10 << 20;

#[tokio::test]
async fn a_message_of_ten_megabytes_comes_through_and_one_that_no_worker_takes_is_lost_alone()
-> anyhow::Result<()> {
    if is_missing("a_message_of_ten_megabytes_comes_through_and_one_that_no_worker_takes_is_lost_alone") {
        return Ok(());
    }
    let mut server = Server::start(&["--shards", "2"]).await?;
    let worker = BusinessWorkers::start(server.register[0], 1, "").await?;
    serving(&server, 1).await?;
    let mut client = Client::connect(server.websocket).await?;
    // With 1000 bytes less, the packet has room for the rest of the event.
    let longest = "x".repeat(LONGEST - 1000);
    assert_eq!(ask(&mut client, &longest).await?["message"], json!(longest));
    // Workerman ends a connection when a longer packet is announced on it, and loses everything that waits there for other
    // clients.
    client.send(Message::text("x".repeat(LONGEST))).await?;
    assert_eq!(ask(&mut client, "the next").await?["session"]["messages"], json!(2));
    server.logs("lost an event of a client: a packet of ").await?;
    drop(worker);

    // The original gateway brings the same message through.
    let stack = OriginalStack::start_with(root().join("tests/php/gatewayworker/Conversation.php"), 1).await?;
    let mut client = Client::connect(stack.websocket).await?;
    assert_eq!(ask(&mut client, &longest).await?["message"], json!(longest));
    Ok(())
}

#[tokio::test]
async fn clients_of_a_killed_worker_go_on_with_the_others() -> anyhow::Result<()> {
    const CLIENTS: usize = 40;
    if is_missing("clients_of_a_killed_worker_go_on_with_the_others") {
        return Ok(());
    }
    let server = Server::start(&["--shards", "2"]).await?;
    let workers = BusinessWorkers::start(server.register[0], 2, "").await?;
    serving(&server, 2).await?;
    let mut clients = Vec::new();
    let mut homes = Vec::new();
    for _ in 0..CLIENTS {
        let greeted = Greeted::connect(server.websocket, "/", &[]).await?;
        homes.push(greeted.init["worker"].as_i64().unwrap());
        clients.push(greeted.client);
    }
    for round in 1..=6 {
        if round % 2 == 0 {
            // The master process starts another worker, so that every round has two.
            kill(Pid::from_raw(homes[0].try_into()?), Signal::SIGKILL)?;
        }
        for (client, home) in clients.iter_mut().zip(&mut homes) {
            client.send(Message::text(format!("round {round}"))).await?;
            // Bytes that the dying worker had already read from its socket are lost with it; the next message is not.
            let answer = match tokio::time::timeout(std::time::Duration::from_secs(2), client.text()).await {
                Ok(text) => serde_json::from_str(&text?)?,
                Err(_) => ask(client, "again").await?,
            };
            let worker = answer["worker"].as_i64().unwrap();
            assert!(round % 2 == 0 || *home == worker, "a client stays with its worker");
            *home = worker;
        }
    }
    let ids: Vec<_> = clients.iter().map(|client| client.id.to_string()).collect();
    for client in clients {
        client.leave().await?;
    }
    for id in ids {
        let seen = async |word: &str| {
            let diary = workers.diary()?;
            Ok(diary.iter().filter(|line| line.starts_with(&format!("{word} {id}"))).count())
        };
        eventually("one onClose", 1, async || seen("close").await).await?;
        assert_eq!(seen("connect").await?, 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_restart_of_all_workers_forgets_nobody() -> anyhow::Result<()> {
    if is_missing("a_restart_of_all_workers_forgets_nobody") {
        return Ok(());
    }
    let mut server = Server::start(&["--shards", "2"]).await?;
    let workers = BusinessWorkers::start(server.register[0], 1, "").await?;
    serving(&server, 1).await?;
    let mut stays = Client::connect(server.websocket).await?;
    let leaves = Client::connect(server.websocket).await?;
    let left = format!("close {} after 1", leaves.id);
    let mut leaves = leaves;
    ask(&mut leaves, "hello").await?;
    // A worker first answers a message and then gives the session back, so the test waits for the session.
    for (client, messages) in [(&stays, "\"messages\":0"), (&leaves, "\"messages\":1")] {
        let session = format!("getSession('{}')", client.id);
        let has_come = async || Ok(by_extension(&server, &session).await?.contains(messages));
        eventually("the session", true, has_come).await?;
    }
    drop(workers);
    server.logs("a worker has gone").await?;
    stays.send(Message::text("anybody there?")).await?;
    leaves.leave().await?;
    let workers = BusinessWorkers::start(server.register[0], 1, "").await?;
    let answer: Value = serde_json::from_str(&stays.text().await?)?;
    assert_eq!((&answer["message"], &answer["session"]["messages"]), (&json!("anybody there?"), &json!(1)));
    eventually("onClose", true, async || Ok(workers.diary()?.contains(&left))).await
}

/// Makes a call with the extension, and gives what it prints.
async fn by_extension(server: &Server, call: &str) -> anyhow::Result<String> {
    run(php()?, server, "", call).await
}

/// Makes the same call with GatewayClient.
async fn by_client(server: &Server, call: &str) -> anyhow::Result<String> {
    let mut php = Command::new("php");
    php.arg("-n");
    let autoload = root().join("tests/php/gatewayworker/autoload.php");
    run(php, server, &format!("require '{}';", autoload.display()), call).await
}

async fn run(mut php: Command, server: &Server, first: &str, call: &str) -> anyhow::Result<String> {
    let code = format!(
        "{first} GatewayClient\\Gateway::$registerAddress = '{}'; echo json_encode(GatewayClient\\Gateway::{call});",
        server.register[0]
    );
    let output = soon("PHP", php.arg("-r").arg(code).stderr(Stdio::inherit()).output()).await??;
    anyhow::ensure!(output.status.success(), "{call}: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn both_clients_and_workers_share_one_gateway() -> anyhow::Result<()> {
    if is_missing("both_clients_and_workers_share_one_gateway") {
        return Ok(());
    }
    let server = Server::start(&["--shards", "2"]).await?;
    let _workers = BusinessWorkers::start(server.register[0], 2, "").await?;
    serving(&server, 2).await?;
    let mut client = Client::connect(server.websocket).await?;
    let id = client.id;
    assert_eq!(ask(&mut client, "join red").await?["members"], 1);

    // Each of the two sees what the other one has done.
    assert_eq!(by_extension(&server, "getClientIdCountByGroup('red')").await?, "1");
    assert_eq!(by_client(&server, "getClientIdListByGroup('red')").await?, format!("{{\"{id}\":\"{id}\"}}"));
    by_extension(&server, &format!("bindUid('{id}', 'alice')")).await?;
    by_extension(&server, &format!("updateSession('{id}', ['from' => 'the extension'])")).await?;
    assert_eq!(by_client(&server, "getClientIdByUid('alice')").await?, format!("[\"{id}\"]"));
    by_client(&server, "sendToUid('alice', 'from GatewayClient')").await?;
    assert_eq!(client.text().await?, "from GatewayClient");
    by_extension(&server, "sendToUid('alice', 'from the extension')").await?;
    assert_eq!(client.text().await?, "from the extension");
    by_client(&server, &format!("joinGroup('{id}', 'blue')")).await?;
    eventually("the group", "1".to_owned(), async || {
        by_extension(&server, "getClientIdCountByGroup('blue')").await
    })
    .await?;
    by_extension(&server, "sendToGroup('blue', 'to blue')").await?;
    assert_eq!(client.text().await?, "to blue");
    let answer = ask(&mut client, "hello").await?;
    assert_eq!(answer["session"]["from"], "the extension");
    Ok(())
}

#[tokio::test]
async fn a_gateway_of_gatewayworker_may_stand_beside_ours() -> anyhow::Result<()> {
    if is_missing("a_gateway_of_gatewayworker_may_stand_beside_ours") {
        return Ok(());
    }
    let server = Server::start(&["--shards", "2"]).await?;
    let _workers = BusinessWorkers::start(server.register[0], 1, "").await?;
    let original = OriginalGateway::start("websocket", server.register[0]).await?;
    serving(&server, 1).await?;
    // The worker hears of the original gateway from our register, and then greets that gateway's clients too.
    let greets = async || Ok(Client::connect(original.address).await.is_ok());
    eventually("the other gateway serves", true, greets).await?;

    let mut here = Client::connect(server.websocket).await?;
    let mut there = Client::connect(original.address).await?;
    assert_ne!(here.id.node, there.id.node);
    for client in [&mut here, &mut there] {
        ask(client, "join red").await?;
    }
    let both = async || by_client(&server, "getClientIdCountByGroup('red')").await;
    eventually("both are counted", "2".to_owned(), both).await?;
    by_client(&server, "sendToGroup('red', 'to both')").await?;
    for client in [&mut here, &mut there] {
        assert_eq!(client.text().await?, "to both");
    }
    for client in [&mut here, &mut there] {
        by_client(&server, &format!("sendToClient('{}', 'to you')", client.id)).await?;
        assert_eq!(client.text().await?, "to you");
    }
    Ok(())
}

#[tokio::test]
async fn workers_of_both_kinds_and_both_clients_serve_one_gateway() -> anyhow::Result<()> {
    const CLIENTS: usize = 20;
    if is_missing("workers_of_both_kinds_and_both_clients_serve_one_gateway") {
        return Ok(());
    }
    let mut server = Server::start(&["--shards", "2"]).await?;
    let theirs = BusinessWorkers::start(server.register[0], 1, "").await?;
    let _ours = WorkerRunner::start(server.register[0], 1).await?;
    serving(&server, 2).await?;
    let mut clients = Vec::new();
    let mut homes = HashSet::new();
    for _ in 0..CLIENTS {
        let greeted = Greeted::connect(server.websocket, "/", &[]).await?;
        homes.insert(greeted.init["worker"].as_i64());
        clients.push(greeted.client);
    }
    assert_eq!(homes.len(), 2);
    for client in &mut clients {
        assert_eq!(ask(client, "hello").await?["session"]["messages"], 1);
    }
    by_client(&server, "sendToAll('from GatewayClient')").await?;
    by_extension(&server, "sendToAll('from the extension')").await?;
    for client in &mut clients {
        let heard = HashSet::from([client.text().await?.to_string(), client.text().await?.to_string()]);
        assert_eq!(heard, HashSet::from(["from GatewayClient".into(), "from the extension".into()]));
    }
    // When a worker goes, its clients keep their sessions, also with a worker of the other kind.
    drop(theirs);
    server.logs("a worker has gone").await?;
    let mut homes = HashSet::new();
    for client in &mut clients {
        let answer = ask(client, "hello again").await?;
        assert_eq!(answer["session"]["messages"], 2);
        homes.insert(answer["worker"].as_i64());
    }
    assert_eq!(homes.len(), 1);
    Ok(())
}
