//! What php/client/gateway.js does by gateway.2: pages that lose their connection, or are left for others, miss nothing.

use std::time::Duration;

use anyhow::ensure;
use gateway_tests::{Firefox, NO_NODE, Server, WorkerRunner, eventually, node_with_websocket, root, skip};
use serde_json::json;
use tokio::process::Command;

use super::browser_client::Stage;

/// The longest that the cases in Node.js may take together on a busy machine.
const PATIENCE_WITH_NODE: Duration = Duration::from_secs(300);

/// Runs a file of tests in Node.js, which the test of this name consists of.
async fn run_in_node(file: &str, test: &str) -> anyhow::Result<()> {
    let mut run = Command::new("node");
    run.arg(root().join(file)).kill_on_drop(true);
    let output = match run.output().await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skip(test, "node is missing");
            return Ok(());
        }
        output => output?,
    };
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

#[tokio::test]
async fn the_end_of_the_page_keeps_to_the_protocol() -> anyhow::Result<()> {
    run_in_node("tests/js/client_end.mjs", "the_end_of_the_page_keeps_to_the_protocol").await
}

#[tokio::test]
async fn the_page_handles_each_message_of_the_inbox_once_and_in_order() -> anyhow::Result<()> {
    const TEST: &str = "the_page_handles_each_message_of_the_inbox_once_and_in_order";
    run_in_node("tests/js/inbox.mjs", TEST).await
}

#[tokio::test]
async fn connections_that_are_cut_or_fall_silent_cost_nothing() -> anyhow::Result<()> {
    const TEST: &str = "connections_that_are_cut_or_fall_silent_cost_nothing";
    run_with_servers("tests/js/browser_client.mjs", TEST).await
}

#[tokio::test]
async fn a_mini_program_misses_nothing_in_the_background() -> anyhow::Result<()> {
    run_with_servers("tests/js/miniprogram.mjs", "a_mini_program_misses_nothing_in_the_background").await
}

/// Runs a file of tests in a Node.js that has websockets, with two servers, of which one has a worker that sends back what it gets.
async fn run_with_servers(file: &str, test: &str) -> anyhow::Result<()> {
    let Some(mut run) = node_with_websocket().await else {
        skip(test, NO_NODE);
        return Ok(());
    };
    let flags = ["--operations", "127.0.0.1:0"];
    let server = Server::start(&flags).await?;
    let mut echo = Server::start(&flags).await?;
    let events = root().join("tests/php/echo/Events.php");
    let _worker = WorkerRunner::start_with(events, echo.register[0], 1).await?;
    echo.logs("a worker joined").await?;

    run.arg(root().join(file));
    for (name, address) in [
        ("SERVER", Some(server.websocket)),
        ("OPERATIONS", server.operations),
        ("ECHO", Some(echo.websocket)),
        ("ECHO_OPERATIONS", echo.operations),
    ] {
        run.env(name, address.map(|address| address.to_string()).unwrap_or_default());
    }
    let output = tokio::time::timeout(PATIENCE_WITH_NODE, run.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test]
async fn a_reload_goes_on_as_the_same_client_where_that_is_wanted() -> anyhow::Result<()> {
    let stage = Stage::set(&[]).await?;
    let mut php = stage.peer().await?;
    let page = stage.page("/module").await?;
    let options = |tab: &str| format!("{{bind: '/bind?uid=ann', resumeTab: {tab}}}");
    page.start(stage.server.websocket, &options("'ann'")).await?;
    page.has(1, json!({"event": "bound"})).await?;
    let id = page.run("return gateway.clientId").await?;
    php.send_to_uid("ann", r#"{"type":"news","text":"before"}"#).await?;
    page.has(1, json!({"type": "news"})).await?;

    page.0.reload().await?;
    // The next page is not connected yet, and the user is online all the same.
    php.send_to_uid("ann", r#"{"type":"news","text":"meanwhile"}"#).await?;
    assert_eq!(page.run("return sessionStorage.length").await?, 1);
    page.start(stage.server.websocket, &options("'ann'")).await?;
    page.has(1, json!({"event": "recovered"})).await?;
    page.has(1, json!({"type": "news", "text": "meanwhile"})).await?;
    page.has(1, json!({"type": "init", "client_id": id})).await?;
    page.has(1, json!({"type": "news"})).await?;
    page.has(0, json!({"event": "bound"})).await?;
    page.has(0, json!({"event": "gap"})).await?;
    assert_eq!(page.run("return [gateway.clientId, sessionStorage.length]").await?, json!([id, 0]));

    // A page out of the browser's cache goes on too.
    page.run("window.isOld = true").await?;
    page.0.go(&format!("{}/token?uid=ann", stage.site)).await?;
    php.send_to_uid("ann", r#"{"type":"news","text":"hidden"}"#).await?;
    page.0.back().await?;
    let back = "return [location.pathname, document.readyState, typeof Gateway]";
    let page_before = json!(["/module", "complete", "function"]);
    eventually("the page before", page_before, async || page.run(back).await).await?;
    if page.run("return window.isOld === true").await? != json!(true) {
        page.start(stage.server.websocket, &options("'ann'")).await?;
    }
    page.has(1, json!({"type": "news", "text": "hidden"})).await?;
    assert_eq!(page.run("return [gateway.clientId, sessionStorage.length]").await?, json!([id, 0]));

    // Another user's page does not.
    page.0.reload().await?;
    page.start(stage.server.websocket, &options("'bob'")).await?;
    page.has(1, json!({"event": "bound"})).await?;
    page.has(0, json!({"event": "recovered"})).await?;
    assert_ne!(page.run("return gateway.clientId").await?, id);

    // Nor does a page without the option.
    page.run("gateway.close()").await?;
    page.0.reload().await?;
    page.start(stage.server.websocket, &options("false")).await?;
    page.has(1, json!({"event": "bound"})).await?;
    let id = page.run("return gateway.clientId").await?;
    page.0.reload().await?;
    assert_eq!(page.run("return sessionStorage.length").await?, 0);
    // Who leaves such a page is offline at once, and not parked for longer than the test waits.
    let left = id.as_str().unwrap_or_default().parse()?;
    eventually("it is online", false, async || Ok(php.clients_of("ann").await?.contains(&left))).await?;
    page.start(stage.server.websocket, &options("true")).await?;
    page.has(1, json!({"event": "bound"})).await?;
    assert_ne!(page.run("return gateway.clientId").await?, id);
    Ok(())
}

#[tokio::test]
async fn firefox_closes_early_and_a_reload_goes_on_all_the_same() -> anyhow::Result<()> {
    const TEST: &str = "firefox_closes_early_and_a_reload_goes_on_all_the_same";
    let stage = Stage::set(&[]).await?;
    let Some(mut firefox) = Firefox::start().await? else {
        skip(TEST, "Firefox is not installed");
        return Ok(());
    };
    let url = format!("{}/module", stage.site);
    let start = format!("start('http://{}/', {{resumeTab: true}})", stage.server.websocket);
    let mut ids = Vec::new();
    for _ in 0..2 {
        firefox.open(&url).await?;
        eventually("the client", json!("function"), async || {
            firefox.script("return typeof Gateway", vec![]).await
        })
        .await?;
        firefox.script(&start, vec![]).await?;
        eventually("an init", json!(true), async || {
            firefox.script("return gateway.clientId !== null", vec![]).await
        })
        .await?;
        ids.push(firefox.script("return gateway.clientId", vec![]).await?);
    }
    assert_eq!(ids[0], ids[1]);
    Ok(())
}
