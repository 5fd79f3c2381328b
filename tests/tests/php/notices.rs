//! What `Events::onReceipt` and `Events::onUndelivered` of a real worker hear of messages in the inbox.

use std::path::Path;

use gateway_tests::{PhpCalls, ResumingPage, Server, WorkerRunner, eventually, store_folder};
use serde_json::json;

const HANDLER: &str = r#"<?php
class Events {
    static function onReceipt(array $receipts) {
        foreach ($receipts as $receipt) {
            if (!is_int($receipt['at']) || $receipt['signed'] !== false || $_SESSION !== null) {
                self::note('wrong ' . json_encode($receipt));
            }
            self::note("{$receipt['event']} {$receipt['uid']} {$receipt['id']} {$receipt['device']}");
        }
        // What a handler sends goes out before the notices count as handled.
        Gateway::sendToUid('watcher', 'seen');
        if (file_exists(getenv('DIARY') . '.die')) {
            unlink(getenv('DIARY') . '.die');
            posix_kill(getmypid(), SIGKILL);
        }
    }
    static function onUndelivered(string $uid, string $id) {
        self::note("undelivered $uid $id");
        throw new Exception('as the test wishes');
    }
    private static function note(string $line) {
        file_put_contents(getenv('DIARY'), "$line\n", FILE_APPEND);
    }
}"#;

async fn start(code: &str, store: &Path) -> anyhow::Result<(Server, PhpCalls, WorkerRunner)> {
    let server = Server::start_with(|command| {
        command.arg("--store").arg(store.join("inbox")).args(["--receipts", "--undelivered-seconds", "2"]);
    })
    .await?;
    let events = store.join("Events.php");
    std::fs::write(&events, code)?;
    let runner = WorkerRunner::start_with(events, server.register[0], 2).await?;
    let php = PhpCalls::start(server.register[0], "")?;
    Ok((server, php, runner))
}

async fn page(server: &Server, php: &mut PhpCalls, device: &str) -> anyhow::Result<ResumingPage> {
    let page = ResumingPage::of_device(server.websocket, device).await?;
    php.get(json!(["bindUid", page.id()?.to_string(), "ann"])).await?;
    Ok(page)
}

async fn diary_is(runner: &WorkerRunner, lines: &[&str]) -> anyhow::Result<()> {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    eventually("the diary", lines, async || runner.diary()).await
}

#[tokio::test]
async fn a_program_hears_of_receipts_and_of_what_nobody_has() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let (server, mut php, runner) = start(HANDLER, folder.path()).await?;
    let mut phone = page(&server, &mut php, "phone").await?;
    php.get(json!(["deliverToUid", "ann", "hello", {"id": "m1"}])).await?;
    phone.handle().await?;
    diary_is(&runner, &["received ann m1 phone"]).await?;
    php.get(json!(["deliverToUid", "ben", "hello", {"id": "m2"}])).await?;
    // An exception ends that call alone.
    diary_is(&runner, &["received ann m1 phone", "undelivered ben m2"]).await?;
    php.get(json!(["deliverToUid", "ann", "again", {"id": "m3"}])).await?;
    phone.handle().await?;
    diary_is(&runner, &["received ann m1 phone", "undelivered ben m2", "received ann m3 phone"]).await
}

#[tokio::test]
async fn what_a_worker_was_killed_with_another_is_told() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let (server, mut php, runner) = start(HANDLER, folder.path()).await?;
    let mut phone = page(&server, &mut php, "phone").await?;
    runner.mark("die")?;
    php.get(json!(["deliverToUid", "ann", "hello", {"id": "m1"}])).await?;
    phone.handle().await?;
    // It comes twice rather than never.
    diary_is(&runner, &["received ann m1 phone"; 2]).await
}

/// A program that has none of the methods.
const WITHOUT: &str = r#"<?php class Events {
    private static function onReceipt(array $receipts) {}
}"#;

#[tokio::test]
async fn a_program_without_the_methods_takes_nothing_and_others_get_it() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let (server, mut php, _deaf) = start(WITHOUT, folder.path()).await?;
    let mut phone = page(&server, &mut php, "phone").await?;
    php.get(json!(["deliverToUid", "ann", "hello", {"id": "m1"}])).await?;
    phone.handle().await?;
    let events = folder.path().join("Hearing.php");
    std::fs::write(&events, HANDLER)?;
    let hearing = WorkerRunner::start_with(events, server.register[0], 1).await?;
    diary_is(&hearing, &["received ann m1 phone"]).await
}

/// A handler that takes its time for each message, and less than it may.
const SLOW: &str = r#"<?php
class Events {
    static function onUndelivered(string $uid, string $id) {
        usleep(400000);
        file_put_contents(getenv('DIARY'), "$id\n", FILE_APPEND);
    }
}"#;

#[tokio::test]
async fn a_batch_may_take_longer_than_a_call() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let server = Server::start_with(|command| {
        command.arg("--store").arg(folder.path().join("inbox")).args(["--undelivered-seconds", "0.01"]);
    })
    .await?;
    let mut php = PhpCalls::start(server.register[0], "")?;
    let ids: Vec<_> = (0..22).map(|number| format!("m{number}")).collect();
    for id in &ids {
        php.get(json!(["deliverToUid", "ann", "hello", {"id": id}])).await?;
    }
    let events = folder.path().join("Slow.php");
    std::fs::write(&events, SLOW)?;
    let limit = ["--handler-timeout=1"];
    let runner = WorkerRunner::start_in(events, &[server.register[0]], 1, "", &limit).await?;
    // A process that is killed meanwhile would begin again, so that some would come twice.
    eventually("the diary", ids, async || runner.diary()).await
}
