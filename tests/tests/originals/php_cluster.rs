//! The extension with GatewayWorker's own register and gateways, in PHP.
//!
//! like_the_original.rs compares the results of all methods; the tests here are about several gateways, secrets, and parts of
//! the cluster that come and go.

use gateway_tests::{
    Called, Client, OriginalCluster, OriginalStack, PhpCalls, Server, eventually, php, root, skip,
};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// Gives whether the original's sources are missing; the test is then reported as skipped.
fn is_skipped(test: &str) -> bool {
    let missing = OriginalStack::missing();
    if let Some(reason) = &missing {
        skip(test, reason);
    }
    missing.is_some()
}

async fn clients(cluster: &OriginalCluster) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for gateway in &cluster.gateways {
        clients.push(Client::connect(gateway.websocket).await?);
    }
    Ok(clients)
}

fn id(client: &Client) -> Value {
    json!(client.id.to_string())
}

#[tokio::test]
async fn two_gateways_are_as_one() -> anyhow::Result<()> {
    if is_skipped("two_gateways_are_as_one") {
        return Ok(());
    }
    let cluster = OriginalCluster::start(2, "ein Schlüssel").await?;
    let by_wish = ["gateway.protocol=gatewayworker"];
    let mut php = PhpCalls::start_with(cluster.register, "ein Schlüssel", &by_wish)?;
    let mut clients = clients(&cluster).await?;
    let (one, two) = (id(&clients[0]), id(&clients[1]));

    for client in [&one, &two] {
        php.get(json!(["bindUid", client, "both"])).await?;
        php.get(json!(["joinGroup", client, "room"])).await?;
        php.get(json!(["setSession", client, {"who": client}])).await?;
    }
    php.get(json!(["bindUid", two, 7])).await?;
    assert_eq!(php.get(json!(["getAllClientIdCount"])).await?, 2);
    assert_eq!(php.get(json!(["getClientIdCountByGroup", "room"])).await?, 2);
    assert_eq!(
        php.get(json!(["batchGetClientIdCountByGroup", ["none", "room"]])).await?,
        json!({"none": 0, "room": 2})
    );
    assert_eq!(php.get(json!(["getAllUidList"])).await?, json!({"7": "7", "both": "both"}));
    assert_eq!(
        php.get(json!(["isUidsOnline", ["both", 7, "none"]])).await?,
        json!({"both": 1, "7": 1, "none": 0})
    );
    assert_eq!(php.get(json!(["getClientIdByUid", "7"])).await?, json!([two]));
    assert_eq!(php.get(json!(["getUidByClientId", one])).await?, "both");
    assert_eq!(php.get(json!(["getAllGroupUidCount"])).await?, json!({"room": 2}));
    let sessions = php.get(json!(["getAllClientSessions"])).await?;
    for client in [&one, &two] {
        assert_eq!(sessions[client.as_str().unwrap_or_default()], json!({"who": client}));
        assert_eq!(php.get(json!(["getSession", client])).await?, json!({"who": client}));
        assert_eq!(php.get(json!(["isOnline", client])).await?, 1);
    }

    php.get(json!(["sendToAll", "to all"])).await?;
    php.get(json!(["sendToAll", "to all but one", null, one])).await?;
    php.get(json!(["sendToAll", "to one", [one]])).await?;
    php.get(json!(["sendToGroup", "room", "to the room but two", [two]])).await?;
    php.get(json!(["sendToUid", ["both", 7], "to both uids"])).await?;
    php.get(json!(["sendToClient", two, "to two"])).await?;
    for text in ["to all", "to one", "to the room but two", "to both uids"] {
        assert_eq!(clients[0].text().await?, text);
    }
    for text in ["to all", "to all but one", "to both uids", "to two"] {
        assert_eq!(clients[1].text().await?, text);
    }
    // This id names a client of a gateway that does not exist.
    let nowhere = json!("7f00000100010000000a");
    assert_eq!(php.get(json!(["isOnline", nowhere])).await?, 0);
    assert_eq!(php.get(json!(["getSession", nowhere])).await?, Value::Null);
    assert_eq!(php.get(json!(["getClientInfo", nowhere])).await?, Value::Null);
    // What GatewayWorker's gateways do not know is null.
    let info = php.get(json!(["getClientInfo", two])).await?;
    let known = json!({
        "state": "connected", "since": null, "online_since": null, "address": null, "listener": null, "uid": "7",
        "groups": ["room"], "queued_bytes": null, "parked_seconds": null, "kept_bytes": 0,
    });
    assert_eq!(info, known);
    assert_eq!(php.get(json!(["sendToClient", nowhere, "x"])).await?, true);
    Ok(())
}

#[tokio::test]
async fn a_wrong_secret_is_told_of() -> anyhow::Result<()> {
    if is_skipped("a_wrong_secret_is_told_of") {
        return Ok(());
    }
    let cluster = OriginalCluster::start(1, "right").await?;
    for wrong in ["wrong", ""] {
        let mut php = PhpCalls::start_with(cluster.register, wrong, &["gateway.protocol=gatewayworker"])?;
        let Called { result, seconds, .. } = php.call(json!(["sendToAll", "x"])).await?;
        let message = result.expect_err("a wrong secret must not do");
        assert!(message.starts_with(&format!("Can not connect to tcp://{} ", cluster.register)), "{message}");
        assert!(message.contains("register closed the connection unanswered"), "{message}");
        assert!(message.contains("$secretKey"), "{message}");
        assert!(seconds < 2.0, "{seconds}");
    }
    // Unless php.ini asks for GatewayWorker's protocol, the extension does not tell this register the secret at all.
    let mut php = PhpCalls::start(cluster.register, "right")?;
    let message =
        php.call(json!(["sendToAll", "x"])).await?.result.expect_err("nobody said that it may be told");
    assert!(message.contains("GatewayWorker's register answers there"), "{message}");
    assert!(message.contains("gateway.protocol = gatewayworker"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_register_may_come_and_go() -> anyhow::Result<()> {
    if is_skipped("a_register_may_come_and_go") {
        return Ok(());
    }
    let mut cluster = OriginalCluster::start(1, "").await?;
    let mut php = PhpCalls::start(cluster.register, "")?;
    let mut client = clients(&cluster).await?.remove(0);
    php.get(json!(["sendToAll", "before"])).await?;
    assert_eq!(client.text().await?, "before");

    cluster.kill_register();
    php.get(json!(["sendToAll", "meanwhile"])).await?;
    assert_eq!(client.text().await?, "meanwhile");
    assert_eq!(php.get(json!(["isOnline", id(&client)])).await?, 1);

    cluster.start_register().await?;
    cluster.add_gateway().await?;
    let mut second = Client::connect(cluster.gateways[1].websocket).await?;
    eventually("the new gateway is known", json!(2), async || php.get(json!(["getAllClientIdCount"])).await)
        .await?;
    php.get(json!(["sendToAll", "after"])).await?;
    assert_eq!(client.text().await?, "after");
    assert_eq!(second.text().await?, "after");
    Ok(())
}

#[tokio::test]
async fn a_gateway_may_come_and_go() -> anyhow::Result<()> {
    if is_skipped("a_gateway_may_come_and_go") {
        return Ok(());
    }
    let mut cluster = OriginalCluster::start(2, "").await?;
    let mut php = PhpCalls::start(cluster.register, "")?;
    let mut clients = clients(&cluster).await?;
    assert_eq!(php.get(json!(["getAllClientIdCount"])).await?, 2);

    cluster.gateways[1].kill();
    let gone = id(&clients[1]);
    php.call(json!(["sendToAll", "to who is left"])).await?;
    assert_eq!(clients[0].text().await?, "to who is left");
    // A gateway may be gone before the register knows it. Calls then give a warning, and what the other gateways answer.
    eventually("one client is left", 1, async || {
        Ok(php
            .call(json!(["getAllClientIdCount"]))
            .await?
            .result
            .ok()
            .and_then(|count| count.as_i64())
            .unwrap_or(0))
    })
    .await?;
    eventually("its gateway is forgotten", Some(json!(0)), async || {
        Ok(php.call(json!(["isOnline", gone])).await?.result.ok())
    })
    .await?;

    cluster.start_gateway(1).await?;
    clients[1] = Client::connect(cluster.gateways[1].websocket).await?;
    eventually("it is back", json!(2), async || php.get(json!(["getAllClientIdCount"])).await).await?;
    php.get(json!(["sendToAll", "to both"])).await?;
    for client in &mut clients {
        assert_eq!(client.text().await?, "to both");
    }

    for gateway in &mut cluster.gateways {
        gateway.kill();
    }
    let mut message = String::new();
    eventually("PHP is told that none is left", true, async || {
        let result = php.call(json!(["getAllClientIdCount"])).await?.result;
        message = result.err().unwrap_or_default();
        Ok(message.contains("GatewayWorker's register answers there, but"))
    })
    .await?;
    assert!(message.starts_with("Can not connect to tcp://"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_stands_still_holds_up_nobody() -> anyhow::Result<()> {
    const MESSAGES: usize = 200;
    if is_skipped("a_gateway_that_stands_still_holds_up_nobody") {
        return Ok(());
    }
    let cluster = OriginalCluster::start(2, "").await?;
    let mut php = PhpCalls::start(cluster.register, "")?;
    let mut clients = clients(&cluster).await?;
    assert_eq!(php.get(json!(["getAllClientIdCount"])).await?, 2);
    let group = Pid::from_raw(i32::try_from(cluster.gateways[1].leader().unwrap_or_default())?);
    killpg(group, Signal::SIGSTOP)?;
    let mut seconds = 0.0;
    for number in 0..MESSAGES {
        let called = php.call(json!(["sendToAll", number.to_string()])).await?;
        assert_eq!((called.result, called.warnings), (Ok(Value::Null), vec![]));
        seconds += called.seconds;
        assert_eq!(clients[0].text().await?, number.to_string());
    }
    assert!(seconds < 1.0, "{MESSAGES} calls took {seconds} s");
    killpg(group, Signal::SIGCONT)?;
    for number in 0..MESSAGES {
        assert_eq!(clients[1].text().await?, number.to_string());
    }
    Ok(())
}

#[tokio::test]
async fn forked_children_have_links_of_their_own() -> anyhow::Result<()> {
    const CHILDREN: usize = 8;
    if is_skipped("forked_children_have_links_of_their_own") {
        return Ok(());
    }
    let cluster = OriginalCluster::start(2, "").await?;
    let mut php = PhpCalls::start(cluster.register, "")?;
    let mut clients = clients(&cluster).await?;
    php.get(json!(["sendToAll", "parent"])).await?;
    assert_eq!(php.get(json!(["forks", CHILDREN, "child"])).await?, json!(vec![0; CHILDREN]));
    php.get(json!(["sendToAll", "parent again"])).await?;
    for client in &mut clients {
        assert_eq!(client.text().await?, "parent");
        let mut said = Vec::new();
        for _ in 0..CHILDREN {
            said.push(client.text().await?.to_string());
        }
        said.sort();
        assert_eq!(said, (0..CHILDREN).map(|child| format!("child {child}")).collect::<Vec<_>>());
        assert_eq!(client.text().await?, "parent again");
    }
    Ok(())
}

#[tokio::test]
async fn our_server_takes_the_clusters_place() -> anyhow::Result<()> {
    if is_skipped("our_server_takes_the_clusters_place") {
        return Ok(());
    }
    let cluster = OriginalCluster::start(1, "").await?;
    let register = cluster.register;
    let mut php = PhpCalls::start(register, "")?;
    let mut client = clients(&cluster).await?.remove(0);
    php.get(json!(["sendToAll", "from the cluster"])).await?;
    assert_eq!(client.text().await?, "from the cluster");
    drop(cluster);

    let server = Server::start(&["--register", &register.to_string()]).await?;
    let mut client = Client::connect(server.websocket).await?;
    eventually("PHP finds the server", Some(json!(1)), async || {
        Ok(php.call(json!(["getAllClientIdCount"])).await?.result.ok())
    })
    .await?;
    php.get(json!(["sendToAll", "from the server"])).await?;
    assert_eq!(client.text().await?, "from the server");
    Ok(())
}

/// A process that ends right after its calls has delivered them all.
#[tokio::test]
async fn what_a_short_script_sends_arrives() -> anyhow::Result<()> {
    const MESSAGES: usize = 10_000;
    if is_skipped("what_a_short_script_sends_arrives") {
        return Ok(());
    }
    let cluster = OriginalCluster::start(1, "").await?;
    let mut client = clients(&cluster).await?.remove(0);
    let script = root().join("tests/php/numbered.php");
    let mut process = php()?
        .arg(script)
        .args([cluster.register.to_string(), MESSAGES.to_string()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let mut stdin = process.stdin.take().ok_or_else(|| anyhow::anyhow!("PHP's input"))?;
    tokio::io::AsyncWriteExt::write_all(&mut stdin, format!("{}\n", client.id).as_bytes()).await?;
    drop(stdin);
    for number in 0..MESSAGES {
        assert_eq!(client.text().await?, number.to_string());
    }
    let output = process.wait_with_output().await?;
    let stats: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!([&stats["acked"], &stats["dropped"], &stats["resent"]], [MESSAGES + 1, 0, 0]);
    Ok(())
}
