//! What `Gateway::deliverToUid`, `receipt`, `inboxOf` and `forget` tell a real PHP process.

use std::path::Path;

use gateway_tests::{PhpCalls, ResumingPage, Server, eventually, store_folder};
use gateway_wire::bridge::MAX_NAME;
use serde_json::{Value, json};

async fn start(store: &Path) -> anyhow::Result<(Server, PhpCalls)> {
    let server = Server::start_with(|command| {
        command.arg("--store").arg(store);
    })
    .await?;
    let php = PhpCalls::start(server.register[0], "")?;
    Ok((server, php))
}

/// The reason for which a call fails.
async fn refused(php: &mut PhpCalls, call: Value) -> anyhow::Result<String> {
    Ok(php.call(call).await?.result.err().unwrap_or_default())
}

#[tokio::test]
async fn a_message_waits_is_taken_and_is_told_of() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let (server, mut php) = start(&folder.path().join("store")).await?;
    let id = php.get(json!(["deliverToUid", 7, {"n": 1}])).await?;
    assert!(id.as_str().is_some_and(|id| id.len() == 32), "{id}");
    let options =
        json!({"id": "order-5", "ttl": 60, "replace": "cart", "new_device": "all", "binary": false});
    assert_eq!(php.get(json!(["deliverToUid", [7, "8"], "five", options])).await?, "order-5");
    let inbox = php.get(json!(["inboxOf", 7])).await?;
    assert_eq!((&inbox["messages"], &inbox["bytes"], &inbox["devices"]), (&json!(2), &json!(11), &json!([])));
    assert_eq!(php.get(json!(["inboxOf", "nobody"])).await?, Value::Null);

    let mut page = ResumingPage::of_device(server.websocket, "phone").await?;
    php.get(json!(["bindUid", page.id()?.to_string(), 7])).await?;
    assert_eq!((page.handle().await?, page.handle().await?), (r#"{"n":1}"#.into(), "five".into()));
    eventually("messages that wait", json!(0), async || {
        Ok(php.get(json!(["inboxOf", 7])).await?["devices"][0]["waiting"].clone())
    })
    .await?;
    let receipts = php.get(json!(["receipt", "order-5"])).await?;
    let uids: Vec<_> = receipts.as_array().into_iter().flatten().map(|one| &one["uid"]).collect();
    assert_eq!(uids, ["7", "8"]);
    let device = &receipts[0]["devices"][0];
    assert_eq!(
        (&device["device"], &device["signed"], &device["read"]),
        (&json!("phone"), &json!(false), &Value::Null)
    );
    assert!(device["written"].as_u64() <= device["received"].as_u64(), "{device}");
    assert_eq!(receipts[1]["devices"], json!([]));
    assert_eq!(php.get(json!(["receipt", "unknown"])).await?, json!([]));

    php.get(json!(["forget", 7])).await?;
    // The page that is there is a device of the new inbox at once.
    let forgotten = php.get(json!(["receipt", "order-5"])).await?;
    assert_eq!((&forgotten[0]["uid"], &forgotten[1]), (&json!("8"), &Value::Null));
    php.get(json!(["deliverToUid", 7, "anew"])).await?;
    assert_eq!(page.handle().await?, "anew");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_kept_is_an_error_that_says_why() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let (_server, mut php) = start(&folder.path().join("store")).await?;
    for (options, why) in [
        (json!({"tll": 5}), "there is no option \"tll\": there are id, ttl"),
        (json!({"ttl": 0}), "ttl must be an int from 1 to 2592000"),
        (json!({"ttl": "60"}), "ttl must be"),
        (json!({"ttl": 2_592_001}), "ttl must be"),
        (json!({"id": "a b"}), "id must be 1 to 64 letters"),
        (json!({"id": ""}), "id must be"),
        (json!({"replace": "x".repeat(65)}), "replace must be"),
        (json!({"new_device": true}), "new_device must be 'all' or"),
        (json!({"binary": 1}), "binary must be a bool"),
        (json!([1]), "there is no option \"0\""),
    ] {
        let error = refused(&mut php, json!(["deliverToUid", 1, "x", options])).await?;
        assert!(error.contains(why), "{error} for {options}");
    }
    let error = refused(&mut php, json!(["deliverToUid", 1, "x".repeat(65_537)])).await?;
    assert!(error.contains("65537 bytes, more than the 65536"), "{error}");
    let error = refused(&mut php, json!(["deliverToUid", 1, {"base64": "/w=="}])).await?;
    assert!(error.is_empty(), "an array is JSON: {error}");
    php.get(json!(["forget", 1])).await?;
    let error = refused(&mut php, json!(["deliverToUid", "u".repeat(MAX_NAME + 1), "x"])).await?;
    assert!(error.contains("the uid has"), "{error}");
    assert_eq!(php.get(json!(["inboxOf", 1])).await?, Value::Null);
    // The same id is the same message.
    for text in ["first", "second"] {
        php.get(json!(["deliverToUid", 2, text, {"id": 5}])).await?;
    }
    assert_eq!(php.get(json!(["inboxOf", 2])).await?["bytes"], 5);
    Ok(())
}
