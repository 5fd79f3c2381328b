//! Programs that were written for GatewayWorker, on the worker runner: the same file gives every client the same messages as on
//! the original stack, whether or not Workerman is installed.

use std::path::{Path, PathBuf};

use gateway_tests::{Client, OriginalStack, Server, WorkerRunner, eventually, root, skip};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// What each client got, in order.
type Transcript = Vec<(&'static str, String)>;

/// With the options `more` of the runner.
async fn start(server: &mut Server, events: PathBuf, more: &[&str]) -> anyhow::Result<WorkerRunner> {
    let runner = WorkerRunner::start_in(events, &[server.register[0]], 1, "", more).await?;
    server.logs("a worker joined").await?;
    Ok(runner)
}

fn write(folder: &Path, text: &str) -> anyhow::Result<PathBuf> {
    let events = folder.join("Events.php");
    std::fs::write(&events, text)?;
    Ok(events)
}

fn rooms() -> PathBuf {
    root().join("tests/php/programs/rooms/Events.php")
}

async fn say(client: &mut Client, what: Value) -> anyhow::Result<()> {
    client.send(Message::text(what.to_string())).await
}

/// Two play in a room, a third in another.
async fn play(websocket: std::net::SocketAddr) -> anyhow::Result<Transcript> {
    let mut told = Transcript::new();
    let mut ann = Client::connect(websocket).await?;
    let mut bob = Client::connect(websocket).await?;
    let mut cy = Client::connect(websocket).await?;
    say(&mut ann, json!({"type": "login", "name": "Ann", "room": "one"})).await?;
    told.push(("ann", ann.text().await?.to_string()));
    say(&mut bob, json!({"type": "login", "name": "Bob", "room": "one"})).await?;
    told.push(("ann", ann.text().await?.to_string()));
    told.push(("bob", bob.text().await?.to_string()));
    say(&mut cy, json!({"type": "login", "name": "7", "room": 2})).await?;
    told.push(("cy", cy.text().await?.to_string()));
    for _ in 0..2 {
        // The lists have what the event itself has changed.
        say(&mut ann, json!({"type": "move"})).await?;
        told.push(("ann", ann.text().await?.to_string()));
        told.push(("bob", bob.text().await?.to_string()));
    }
    say(&mut bob, json!({"type": "whisper", "to": 7, "text": "psst"})).await?;
    told.push(("cy", cy.text().await?.to_string()));
    say(&mut bob, json!({"type": "countdown"})).await?;
    for _ in 0..4 {
        told.push(("bob", bob.text().await?.to_string()));
    }
    say(&mut bob, json!({"type": "later"})).await?;
    told.push(("bob", bob.text().await?.to_string()));
    say(&mut cy, json!({"type": "tick"})).await?;
    for _ in 0..3 {
        told.push(("cy", cy.text().await?.to_string()));
    }
    bob.leave().await?;
    told.push(("ann", ann.text().await?.to_string()));
    Ok(told)
}

#[tokio::test]
async fn a_game_of_rooms_and_timers_tells_every_client_what_it_does_on_the_original() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start(&mut server, rooms(), &[]).await?;
    let without_workerman = play(server.websocket).await?;
    drop((runner, server));
    assert_eq!(without_workerman[0], ("ann", r#"{"login":"Ann","names":["Ann"]}"#.to_owned()));
    assert_eq!(without_workerman[4], ("ann", r#"{"by":"Ann","moves":{"Ann":1}}"#.to_owned()));
    assert_eq!(without_workerman.last(), Some(&("ann", r#"{"logout":"Bob","still":1}"#.to_owned())));
    if let Some(variable) = OriginalStack::missing() {
        let test = "a_game_of_rooms_and_timers_tells_every_client_what_it_does_on_the_original";
        skip(test, &format!("{variable} does not name its sources"));
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let autoload = root().join("tests/php/gatewayworker/autoload.php");
    let text = format!("<?php require '{}'; require '{}';", autoload.display(), rooms().display());
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start(&mut server, write(folder.path(), &text)?, &[]).await?;
    assert_eq!(play(server.websocket).await?, without_workerman);
    drop((runner, server));
    let stack = OriginalStack::start_with(rooms(), 1).await?;
    assert_eq!(play(stack.websocket).await?, without_workerman);
    Ok(())
}

/// Says who handles, and does what it is told.
const MISBEHAVING: &str = r#"<?php
use Workerman\Lib\Timer;
use Workerman\Worker;
class Events {
    static function onWorkerStart(Worker $worker) {
        file_put_contents(getenv('DIARY'), "start $worker->id $worker->name $worker->count\n", FILE_APPEND);
        Timer::add(3600, fn () => null);
    }
    static function onConnect($id) {
        \Gateway::sendToCurrentClient(json_encode(['type' => 'init', 'client_id' => $id]));
    }
    static function onMessage($id, $message) {
        static $kept = [];
        switch ($message) {
            case 'spin': while (true); break;
            case 'wait': $pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); fread($pair[0], 1); break;
            case 'eat': while (true) { $kept[] = str_repeat('x', 1 << 20); } break;
            case 'keep': $kept[] = str_repeat('x', 17 << 20); break;
        }
        \Gateway::sendToCurrentClient((string) getmypid());
    }
}"#;

async fn ask(client: &mut Client, text: &str) -> anyhow::Result<String> {
    client.send(Message::text(text)).await?;
    Ok(client.text().await?.to_string())
}

#[tokio::test]
async fn a_handler_that_hangs_is_ended_with_its_process_and_the_next_events_go_on() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let events = write(folder.path(), MISBEHAVING)?;
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start(&mut server, events, &["--handler-timeout=1", "--name=game"]).await?;
    assert_eq!(runner.diary()?, ["start 0 game 1"]);
    let mut client = Client::connect(server.websocket).await?;
    let mut pid = ask(&mut client, "hello").await?;
    for hang in ["spin", "wait"] {
        client.send(Message::text(hang)).await?;
        // It waits for the next process.
        let next = ask(&mut client, "hello").await?;
        assert_ne!(next, pid, "after {hang}");
        pid = next;
    }
    Ok(())
}

#[tokio::test]
async fn a_process_ends_that_takes_too_much_memory_and_gives_way_that_has_had_its_events()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let events = write(folder.path(), MISBEHAVING)?;
    let mut server = Server::start(&["--shards", "2"]).await?;
    let _runner = start(&mut server, events.clone(), &["--max-memory=64M"]).await?;
    let mut client = Client::connect(server.websocket).await?;
    let first = ask(&mut client, "hello").await?;
    client.send(Message::text("eat")).await?;
    let second = ask(&mut client, "hello").await?;
    assert_ne!(first, second);
    // More than three quarters are in use after the third one: it is replaced, and answers until then.
    assert_eq!(ask(&mut client, "keep").await?, second);
    assert_eq!(ask(&mut client, "keep").await?, second);
    ask(&mut client, "keep").await?;
    let mut pid = second.clone();
    eventually("another process", true, async || {
        pid = ask(&mut client, "hello").await?;
        Ok(pid != second)
    })
    .await?;

    let mut server = Server::start(&["--shards", "2"]).await?;
    let _runner = start(&mut server, events, &["--max-events=5"]).await?;
    let mut client = Client::connect(server.websocket).await?;
    let first = ask(&mut client, "hello").await?;
    eventually("another process", true, async || Ok(ask(&mut client, "hello").await? != first)).await
}
