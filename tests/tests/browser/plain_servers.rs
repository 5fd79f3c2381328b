//! Pages on servers that know no subprotocols, such as GatewayWorker itself: which way has worked is remembered.

use std::net::SocketAddr;

use gateway_tests::{OriginalStack, OutageProxy, eventually, skip};
use serde_json::json;

use super::browser_client::{FAST, Page, Stage};

/// Opens a page that gets to the server, and gives the number of its attempts that failed before.
async fn failed_attempts(stage: &Stage, address: SocketAddr, options: &str) -> anyhow::Result<usize> {
    let page = stage.page("/module").await?;
    page.start(address, &format!("{{{options}{FAST}}}")).await?;
    page.has(1, json!({"type": "init"})).await?;
    let failed = page.those(json!({"event": "close", "code": 1006})).await?.len();
    page.run("gateway.close()").await?;
    Ok(failed)
}

#[tokio::test]
async fn a_page_of_gatewayworker_itself_has_failed_attempts_twice_at_most() -> anyhow::Result<()> {
    const TEST: &str = "a_page_of_gatewayworker_itself_has_failed_attempts_twice_at_most";
    if let Some(reason) = OriginalStack::missing() {
        skip(TEST, &reason);
        return Ok(());
    }
    let stage = Stage::set(&[]).await?;
    let original = OriginalStack::start().await?;
    let load = async |options| failed_attempts(&stage, original.websocket, options).await;
    // Nothing is offered with this option, and nothing remembered.
    assert_eq!(load("resume: false, ").await?, 0);
    for failed in [1, 1, 0, 0] {
        assert_eq!(load("").await?, failed);
    }
    // After a day it is tried again, once.
    let page = stage.page("/module").await?;
    let ways = "return Object.entries(localStorage).filter(([key]) => key.startsWith('gateway way '))";
    let kept = page.run(ways).await?;
    let key = format!("gateway way ws://{}/", original.websocket);
    assert_eq!(kept.as_array().map(Vec::len), Some(1), "{kept}");
    assert_eq!(kept[0][0], json!(key));
    let age = "const kept = JSON.parse(localStorage[arguments[0]]);\
        kept.since -= 86_400_000;\
        localStorage[arguments[0]] = JSON.stringify(kept)";
    page.0.script(age, vec![json!(key)]).await?;
    for failed in [1, 0] {
        assert_eq!(load("").await?, failed);
    }

    // A page that is told another way than that of the server finds it all the same.
    for (address, way) in [(original.websocket, "gateway.2"), (stage.server.websocket, "plain")] {
        let forge =
            "localStorage[arguments[0]] = JSON.stringify({way: arguments[1], times: 2, since: Date.now()})";
        let key = format!("gateway way ws://{address}/");
        page.0.script(forge, vec![json!(key), json!(way)]).await?;
        let failed = failed_attempts(&stage, address, "").await?;
        // Three attempts fail, one without succeeds and is doubted, and the last one confirms that.
        assert_eq!(failed, if way == "plain" { 0 } else { 5 });
    }
    // What is no memory of this client is none.
    page.0.script("localStorage[arguments[0]] = '{'", vec![json!(key)]).await?;
    assert_eq!(load("").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_page_whose_first_attempts_fail_speaks_gateway_2_where_others_have() -> anyhow::Result<()> {
    let stage = Stage::set(&[]).await?;
    let proxy = OutageProxy::start(stage.server.websocket).await?;
    assert_eq!(failed_attempts(&stage, proxy.address, "").await?, 0);
    // Between one and eight attempts fail, so that one without gateway.2 is the first to succeed in some of the rounds.
    for failures in 1..=8 {
        proxy.take_down();
        let page = stage.page("/module").await?;
        // The delays are longer than the test, which says when the page tries again.
        page.start(proxy.address, "{minDelay: 500_000, maxDelay: 500_000, random: () => 0.9}").await?;
        for _ in 1..failures {
            waits(&page).await?;
            page.run("gateway.connect()").await?;
        }
        waits(&page).await?;
        proxy.restore();
        page.run("gateway.connect()").await?;
        page.has(1, json!({"type": "init"})).await?;
        proxy.cut();
        waits(&page).await?;
        page.run("gateway.connect()").await?;
        page.has(1, json!({"event": "recovered"})).await?;
        page.has(0, json!({"event": "gap"})).await?;
        page.run("gateway.close()").await?;
    }
    Ok(())
}

/// Waits until an attempt of the page has failed.
async fn waits(page: &Page) -> anyhow::Result<()> {
    eventually("a failed attempt", json!("waiting"), async || page.run("return gateway.state").await).await
}
