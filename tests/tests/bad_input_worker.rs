//! Workers on the bridge that misbehave are closed, and told why; what they had not begun another one gets.

use gateway_tests::{BridgeWorker, Client, Server};
use gateway_wire::bridge::{EventKind, Said};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn what_a_worker_may_not_say_ends_it() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let long = "x".repeat(300);
    for (first, second, why) in [
        (Said::Leave, None, "must join before"),
        (Said::Join { name: &long }, None, "over 256 bytes"),
        (Said::Join { name: "a" }, Some(Said::Join { name: "a" }), "joins once"),
        (Said::Join { name: "b" }, Some(Said::Progress { taken: 1, done: 0 }), "taken 1 and done 0 of 0"),
        (Said::Join { name: "c" }, Some(Said::Progress { taken: 0, done: 1 }), "taken 0 and done 1 of 0"),
    ] {
        let mut worker = BridgeWorker::connect(server.register[0]).await?;
        worker.say(&first).await?;
        if let Some(second) = second {
            worker.say(&second).await?;
        }
        let ended = worker.refused().await?;
        assert!(ended.contains(why), "{ended}");
    }
    Ok(())
}

#[tokio::test]
async fn the_heir_gets_what_was_not_begun_and_only_that() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "1"]).await?;
    let mut first = BridgeWorker::connect(server.register[0]).await?;
    first.say(&Said::Join { name: "first" }).await?;
    server.logs("a worker joined").await?;
    let mut socket = Client::shake_hands(server.websocket, "/", &[]).await?;
    for text in ["one", "two", "three"] {
        futures_util::SinkExt::send(&mut socket, Message::text(text)).await?;
    }
    let mut begun = 0;
    while first.told().await?.2 != b"three" {
        begun += 1;
    }
    assert_eq!(begun, 4, "connect, handshake, one, two");
    first.say(&Said::Progress { taken: 3, done: 2 }).await?;
    first.say(&Said::Leave).await?;
    drop(first);
    server.logs("a worker has gone").await?;
    let mut heir = BridgeWorker::connect(server.register[0]).await?;
    heir.say(&Said::Join { name: "heir" }).await?;
    for (number, text) in [(1, "two"), (2, "three")] {
        let (at, kind, body) = heir.told().await?;
        assert_eq!((at, kind, body.as_slice()), (number, EventKind::Message, text.as_bytes()));
    }
    Ok(())
}
