//! What `Gateway::getClientInfo` tells of a client that is connected, away, here again and gone.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use gateway_tests::{Client, Operator, PhpCalls, PhpPeer, ResumingPage, Server, eventually, field};
use gateway_wire::bridge::{AnswerValue, Order, Query};
use serde_bytes::Bytes;
use serde_json::{Value, json};

fn now() -> anyhow::Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// Asserts that a time lies between two others, both included. A second is measured by two clocks, so it may be the next one.
fn assert_within(time: &Value, from: u64, to: u64) {
    let told = time.as_u64();
    assert!(
        told.is_some_and(|told| (from.saturating_sub(1)..=to + 1).contains(&told)),
        "{time} not in {from}..={to}"
    );
}

#[tokio::test]
async fn a_client_over_its_life() -> anyhow::Result<()> {
    let server = Server::start(&["--operations", "127.0.0.1:0", "--shards", "2"]).await?;
    let operator = Operator::of(&server)?;
    let parked = async || operator.metric("gateway_parked_clients").await;
    let mut php = PhpCalls::start(server.register[0], "")?;
    let came = now()?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let address = page.socket.as_ref().map(|socket| socket.get_ref().local_addr()).transpose()?;
    let id = page.id()?.to_string();
    let here = now()?;

    let info = php.get(json!(["getClientInfo", id.to_uppercase()])).await?;
    assert_within(&info["since"], came, here);
    let first = json!({
        "state": "connected", "since": info["since"], "online_since": info["since"],
        "address": address.map(|address| address.to_string()), "listener": format!("websocket://{}", server.websocket),
        "uid": null, "groups": [], "queued_bytes": 0, "parked_seconds": null, "kept_bytes": 0,
    });
    assert_eq!(info, first);
    // The time is computed of how long ago it was, so it may come out as the next second.
    let here_since = first["since"].as_u64().context("a time")?;

    php.get(json!(["bindUid", id, 7])).await?;
    // All groups are told, also where the operations port shows the first hundred.
    for group in 1..=150 {
        php.get(json!(["joinGroup", id, group])).await?;
    }
    let cut = now()?;
    page.reset()?;
    eventually("parked clients", 1.0, parked).await?;
    let away = now()?;
    php.get(json!(["sendToUid", 7, "x".repeat(1000)])).await?;
    let info = php.get(json!(["getClientInfo", id])).await?;
    assert_within(&info["since"], cut, away);
    assert_within(&info["online_since"], here_since, here_since);
    assert_eq!(
        (&info["state"], &info["uid"], &info["queued_bytes"]),
        (&json!("parked"), &json!("7"), &json!(0))
    );
    assert_eq!((&info["address"], &info["listener"]), (&first["address"], &first["listener"]));
    let mut groups: Vec<u64> = serde_json::from_value::<Vec<String>>(info["groups"].clone())?
        .iter()
        .map(|group| group.parse())
        .collect::<Result<_, _>>()?;
    groups.sort_unstable();
    assert_eq!(groups, (1..=150).collect::<Vec<_>>());
    assert!(info["kept_bytes"].as_u64().is_some_and(|kept| kept > 1000), "{info}");
    assert!(
        info["parked_seconds"].as_u64().is_some_and(|seconds| seconds <= now().unwrap() - cut + 1),
        "{info}"
    );

    // Since when a client is connected again is not kept for it.
    page.connect(server.websocket).await?;
    assert_eq!(page.text().await?, "x".repeat(1000));
    let info = php.get(json!(["getClientInfo", id])).await?;
    assert_eq!(
        (&info["state"], &info["since"], &info["parked_seconds"]),
        (&json!("connected"), &Value::Null, &Value::Null)
    );
    assert_within(&info["online_since"], here_since, here_since);

    php.get(json!(["closeClient", id])).await?;
    assert_eq!(php.get(json!(["getClientInfo", id])).await?, Value::Null);
    Ok(())
}

/// The server reads both at once, and has flushed nothing in between.
#[tokio::test]
async fn what_was_sent_in_one_piece_with_the_question_counts_as_kept() -> anyhow::Result<()> {
    let server = Server::start(&["--operations", "127.0.0.1:0"]).await?;
    let operator = Operator::of(&server)?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let client = page.id()?;
    page.reset()?;
    eventually("parked clients", 1.0, async || operator.metric("gateway_parked_clients").await).await?;
    let message = "x".repeat(1000);
    let send = Order::SendToClient { client, message: Bytes::new(message.as_bytes()), raw: false };
    let info = php.ask_behind(&[send], Query::ClientInfo { client }).await?;
    let AnswerValue::Int(kept) = *field(&info, "kept_bytes") else { anyhow::bail!("{info:?}") };
    assert!(kept > 1000, "{info:?}");
    Ok(())
}

#[tokio::test]
async fn one_that_is_nobodys() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut php = PhpCalls::start(server.register[0], "")?;
    let mut client = Client::connect(server.websocket).await?;
    let id = client.id.to_string();
    assert_eq!(php.get(json!(["getClientInfo", id])).await?["state"], "connected");
    php.get(json!(["destroyClient", id])).await?;
    client.gone().await?;
    for nobody in [&id, "7f00000104d200000000", "00000000000000000000"] {
        assert_eq!(php.get(json!(["getClientInfo", nobody])).await?, Value::Null);
    }
    for malformed in ["", "nobody", &id[1..]] {
        let message =
            php.call(json!(["getClientInfo", malformed])).await?.result.expect_err("it is no client_id");
        assert!(message.contains("client_id") && message.contains("invalid"), "{message}");
    }
    Ok(())
}
