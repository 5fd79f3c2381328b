//! Workers that are told what becomes of messages in the inbox: one batch at a time, and again when a worker goes with it.

use std::path::Path;

use gateway_tests::{BridgeWorker, PhpPeer, Server, eventually, store_folder};
use gateway_wire::bridge::WorkerToServer;

use crate::resume::metric;

async fn start(store: &Path, more: &[&str]) -> anyhow::Result<(Server, PhpPeer)> {
    let server = Server::start_with(|command| {
        command.arg("--store").arg(store.join("inbox")).args(["--operations", "127.0.0.1:0"]).args(more);
    })
    .await?;
    let php = PhpPeer::connect(server.register[0]).await?;
    Ok((server, php))
}

async fn worker(server: &Server, name: &str) -> anyhow::Result<BridgeWorker> {
    let mut worker = BridgeWorker::connect(server.register[0]).await?;
    worker.say(&WorkerToServer::Join { name, moves: true }).await?;
    worker.say(&WorkerToServer::TakeNotices).await?;
    Ok(worker)
}

async fn notices_are(server: &Server, count: f64) -> anyhow::Result<()> {
    eventually("notices that wait", count, async || metric(server, "gateway_inbox_notices").await).await
}

/// Messages for a uid that is not there, which are late at once.
const LATE: [&str; 2] = ["--undelivered-seconds", "0.001"];

async fn deliver(php: &mut PhpPeer, ids: &[&str]) -> anyhow::Result<()> {
    for id in ids {
        php.deliver("ann", id, "x").await?;
    }
    php.acked().await
}

#[tokio::test]
async fn a_batch_is_with_one_worker_and_goes_to_another_if_that_one_goes() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let (server, mut php) = start(folder.path(), &LATE).await?;
    deliver(&mut php, &["m1", "m2"]).await?;
    // Nobody takes notices yet, and a worker that has not said so is told nothing.
    let mut silent = BridgeWorker::connect(server.register[0]).await?;
    silent.say(&WorkerToServer::Join { name: "silent", moves: true }).await?;
    notices_are(&server, 2.0).await?;
    let mut first = worker(&server, "first").await?;
    let (number, receipts, undelivered) = first.notices().await?;
    assert_eq!((receipts.len(), undelivered), (0, vec!["m1".to_owned(), "m2".to_owned()]));
    deliver(&mut php, &["m3"]).await?;
    notices_are(&server, 3.0).await?;
    let mut second = worker(&server, "second").await?;
    // The second would be told of m3, but not before the first has handled what came before.
    second.say(&WorkerToServer::Ping).await?;
    second.pong().await?;
    drop(first);
    let (again, _, undelivered) = second.notices().await?;
    assert_eq!((again, undelivered), (number, vec!["m1".to_owned(), "m2".to_owned()]));
    second.say(&WorkerToServer::NoticesDone { number }).await?;
    let (third, _, undelivered) = second.notices().await?;
    assert_eq!(undelivered, ["m3"]);
    second.say(&WorkerToServer::NoticesDone { number: third }).await?;
    notices_are(&server, 0.0).await?;
    silent.say(&WorkerToServer::Ping).await?;
    silent.pong().await
}

#[tokio::test]
async fn a_worker_that_handles_what_it_does_not_have_is_refused() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let (server, mut php) = start(folder.path(), &LATE).await?;
    deliver(&mut php, &["m1"]).await?;
    let mut liar = worker(&server, "liar").await?;
    let (number, ..) = liar.notices().await?;
    liar.say(&WorkerToServer::NoticesDone { number: number + 1 }).await?;
    assert!(liar.refused().await?.contains("has handled the notices"));
    let mut honest = worker(&server, "honest").await?;
    let (again, _, undelivered) = honest.notices().await?;
    assert_eq!((again, undelivered), (number, vec!["m1".to_owned()]));
    Ok(())
}

#[tokio::test]
async fn a_worker_that_leaves_says_first_what_it_has_handled() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let (server, mut php) = start(folder.path(), &LATE).await?;
    deliver(&mut php, &["m1"]).await?;
    let mut worker = worker(&server, "w").await?;
    let (number, ..) = worker.notices().await?;
    worker.say(&WorkerToServer::Leave).await?;
    deliver(&mut php, &["m2"]).await?;
    // The connection lasts until the batch is handled, and brings no other.
    worker.say(&WorkerToServer::NoticesDone { number }).await?;
    worker.ended().await?;
    notices_are(&server, 1.0).await
}

#[tokio::test]
async fn an_upgrade_leaves_a_batch_with_its_worker() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let (mut server, mut php) = start(folder.path(), &LATE).await?;
    deliver(&mut php, &["m1"]).await?;
    let mut worker = worker(&server, "w").await?;
    let (number, ..) = worker.notices().await?;
    server.upgrade().await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    deliver(&mut php, &["m2"]).await?;
    notices_are(&server, 2.0).await?;
    // It is still handling the first batch, so nothing comes.
    worker.say(&WorkerToServer::Ping).await?;
    worker.pong().await?;
    worker.say(&WorkerToServer::NoticesDone { number }).await?;
    let (next, _, undelivered) = worker.notices().await?;
    assert!(next > number);
    assert_eq!(undelivered, ["m2"]);
    worker.say(&WorkerToServer::NoticesDone { number: next }).await?;
    notices_are(&server, 0.0).await
}
