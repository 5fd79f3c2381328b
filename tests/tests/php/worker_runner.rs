//! The worker runner of the composer package: it handles the events of our server's clients without Workerman.

use anyhow::Context as _;
use futures_util::future::try_join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use gateway_tests::{Client, Greeted, OriginalStack, Server, WorkerRunner, eventually, skip, soon};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

async fn start(server: &mut Server, count: usize) -> anyhow::Result<WorkerRunner> {
    let runner = WorkerRunner::start(server.register[0], count).await?;
    for _ in 0..count {
        server.logs("a worker joined").await?;
    }
    Ok(runner)
}

async fn ask(client: &mut Client, text: &str) -> anyhow::Result<Value> {
    client.send(Message::text(text)).await?;
    Ok(serde_json::from_str(&client.text().await?)?)
}

/// Gives how many lines of the diary begin with `beginning`.
fn count(runner: &WorkerRunner, beginning: &str) -> anyhow::Result<usize> {
    Ok(runner.diary()?.iter().filter(|line| line.starts_with(beginning)).count())
}

#[tokio::test]
async fn one_worker_handles_what_a_client_does() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start(&mut server, 1).await?;
    let headers = [("x-agent", "test")];
    let Greeted { mut client, .. } = Greeted::connect(server.websocket, "/?room=7", &headers).await?;
    // All messages are sent at once: each event must see the session that the one before has left, however fast they follow.
    for number in 1..=100 {
        client.send(Message::text(format!("m{number}"))).await?;
    }
    for number in 1..=100 {
        let answer: Value = serde_json::from_str(&client.text().await?)?;
        assert_eq!(answer["message"], json!(format!("m{number}")));
        assert_eq!(answer["session"], json!({"messages": number, "room": "7", "agent": "test"}));
        assert_eq!(answer["server"]["GATEWAY_CLIENT_ID"], json!(client.id.to_string()));
        assert_eq!(answer["server"]["GATEWAY_PORT"], json!(server.websocket.port()));
        assert_eq!(answer["server"]["REMOTE_ADDR"], json!("127.0.0.1"));
    }
    // An exception ends only its own event. A close sends the last words first.
    client.send(Message::text("throw")).await?;
    assert_eq!(ask(&mut client, "still there").await?["session"]["messages"], json!(102));
    client.send(Message::text("close")).await?;
    assert_eq!(client.text().await?, "bye");
    client.closed().await?;
    let closed = format!("close {} after 103", client.id);
    eventually("onClose", 1, async || count(&runner, &closed)).await
}

#[tokio::test]
async fn a_message_of_ten_megabytes_is_handled_and_answered() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let _runner = start(&mut server, 1).await?;
    let mut client = Client::connect(server.websocket).await?;
    let longest = "x".repeat(10 << 20);
    assert_eq!(ask(&mut client, &longest).await?["message"], json!(longest));
    assert_eq!(ask(&mut client, "the next").await?["session"]["messages"], json!(2));
    client.send(Message::text(longest + "x")).await?;
    assert_eq!(client.closed().await?, (1009, "message too big".to_owned()));
    Ok(())
}

/// A handler that passes null where a client id is wanted, which means the client of the event.
const WITH_NULL: &str = r#"<?php
use GatewayWorker\Lib\Gateway;
class Events {
    static function onConnect($id) {
        Gateway::sendToClient(null, json_encode(['type' => 'init', 'client_id' => $id]));
    }
    static function onMessage($id, $message) {
        Gateway::bindUid(null, 'me');
        Gateway::joinGroup(null, 'here');
        Gateway::joinGroup(null, 'there');
        Gateway::leaveGroup(null, 'there');
        Gateway::setSession(null, ['one' => 1]);
        Gateway::updateSession(null, ['two' => 2]);
        usleep(100000);
        $told = [Gateway::getUidByClientId($id), Gateway::getAllGroupIdList(), Gateway::getSession($id)];
        Gateway::unbindUid(null, 'me');
        usleep(100000);
        $told[] = Gateway::getUidByClientId($id);
        Gateway::sendToClient(null, json_encode($told));
    }
}"#;

/// Checks what a program answers to a message, on our runner and, where its sources are present, on GatewayWorker.
async fn answers_on_both(test: &str, code: &str, message: &str, expected: Value) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let events = folder.path().join("Events.php");
    std::fs::write(&events, code)?;
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = WorkerRunner::start_with(events.clone(), server.register[0], 1).await?;
    server.logs("a worker joined").await?;
    let mut client = Client::connect(server.websocket).await?;
    assert_eq!(ask(&mut client, message).await?, expected);
    drop((runner, server));
    if let Some(reason) = OriginalStack::missing() {
        skip(test, &reason);
        return Ok(());
    }
    let stack = OriginalStack::start_with(events, 1).await?;
    let mut client = Client::connect(stack.websocket).await?;
    assert_eq!(ask(&mut client, message).await?, expected);
    Ok(())
}

#[tokio::test]
async fn null_is_the_client_of_the_event_as_for_gatewayworker() -> anyhow::Result<()> {
    let expected = json!(["me", {"here": "here"}, {"one": 1, "two": 2}, null]);
    let test = "null_is_the_client_of_the_event_as_for_gatewayworker";
    answers_on_both(test, WITH_NULL, "who am I?", expected).await
}

/// A handler whose parameters have other types than the values that it gets.
const LOOSELY_TYPED: &str = r#"<?php
use GatewayWorker\Lib\Gateway;
class Events {
    static function onConnect($id) {
        Gateway::sendToClient($id, json_encode(['type' => 'init', 'client_id' => $id]));
    }
    static function onMessage(string $id, int $number) {
        Gateway::sendToClient($id, json_encode($number + 1));
    }
}"#;

#[tokio::test]
async fn handlers_may_be_typed_as_loosely_as_for_gatewayworker() -> anyhow::Result<()> {
    let test = "handlers_may_be_typed_as_loosely_as_for_gatewayworker";
    answers_on_both(test, LOOSELY_TYPED, "41", json!(42)).await
}

#[tokio::test]
async fn the_class_of_workers_is_the_extensions_though_an_autoloader_has_another() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    let folder = tempfile::tempdir()?;
    // The autoloader finds another class of that name, as where Composer still has GatewayWorker's package.
    std::fs::write(
        folder.path().join("Gateway.php"),
        r"<?php namespace GatewayWorker\Lib; class Gateway { }",
    )?;
    let events = folder.path().join("Events.php");
    std::fs::write(
        &events,
        r#"<?php
        spl_autoload_register(fn ($class) => $class === 'GatewayWorker\Lib\Gateway' && require __DIR__ . '/Gateway.php');
        class Events {
            static function onConnect($id) {
                \GatewayWorker\Lib\Gateway::sendToCurrentClient(json_encode(['type' => 'init', 'client_id' => $id]));
            }
        }"#,
    )?;
    let _runner = WorkerRunner::start_with(events, server.register[0], 1).await?;
    server.logs("a worker joined").await?;
    Client::connect(server.websocket).await?;
    Ok(())
}

#[tokio::test]
async fn sessions_make_no_objects_that_are_not_allowed() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start(&mut server, 1).await?;
    let mut client = Greeted::connect(server.websocket, "/", &[]).await?.client;
    client.send(Message::text("remember objects")).await?;
    client.text().await?;
    let incomplete = json!("__PHP_Incomplete_Class");
    let remembered = ask(&mut client, "what is remembered").await?;
    assert_eq!(remembered[0], incomplete);
    // The session has been written again by now, with one message more, and the object in it is unchanged.
    let again = ask(&mut client, "what is remembered").await?;
    assert_eq!(again[0], incomplete);
    let cart = hex_of(
        "s:4:\"cart\";O:4:\"Cart\":2:{s:4:\"suit\";E:11:\"Suit:Hearts\";s:5:\"items\";a:1:{i:0;s:3:\"tea\";}}",
    );
    for answer in [&remembered, &again] {
        assert!(answer[1].as_str().is_some_and(|session| session.contains(&cart)), "{answer}");
    }
    assert_eq!(count(&runner, "woken")?, 0);
    Ok(())
}

fn hex_of(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// In a folder that others can write to, another user may make the pid file first, lock it, and name a process in it that is
/// not a worker.
#[test]
fn a_pid_file_of_another_user_stops_no_process() -> anyhow::Result<()> {
    let run = |path: &std::path::Path, words: &[&str]| {
        let mut command = gateway_tests::php_of_the_machine()?;
        command.arg(gateway_tests::root().join("php/worker/bin/gateway-worker")).args(words);
        let output = command.arg(format!("--pid-file={}", path.display())).output()?;
        anyhow::Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    let folder = tempfile::tempdir()?;
    let mut victim = std::process::Command::new("sleep").arg("600").spawn()?;
    let text = format!(r#"{{"pid":{},"workers":[]}}"#, victim.id());
    let file = folder.path().join("pid");
    std::fs::write(&file, &text)?;
    let lock = std::fs::File::open(&file)?;
    let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive);
    let lock = lock.map_err(|(_, error)| error)?;
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&file, &link)?;
    let events = gateway_tests::root().join("tests/php/worker/Events.php").display().to_string();
    let tried = [
        (run(&file, &["stop"])?, "nobody was signalled"),
        (run(&file, &["reload"])?, "nobody was signalled"),
        (run(&link, &["stop"])?, "no regular file"),
        (run(&link, &["start", &events])?, "no regular file"),
    ];
    let is_alive = victim.try_wait()?.is_none();
    victim.kill()?;
    victim.wait()?;
    drop(lock);
    assert!(is_alive, "it was signalled: {tried:?}");
    for ((succeeded, said), expected) in tried {
        assert!(!succeeded && said.contains(expected), "{said} instead of {expected}");
    }
    let test = "a_pid_file_of_another_user_stops_no_process";
    if !nix::unistd::geteuid().is_root() {
        gateway_tests::skip(test, "only root can make a file of another user's");
        return Ok(());
    }
    std::os::unix::fs::chown(&file, Some(65534), Some(65534))?;
    let (succeeded, said) = run(&file, &["start", &events])?;
    assert!(!succeeded && said.contains("belongs to another user"), "{said}");
    Ok(())
}

#[tokio::test]
async fn what_a_handler_sends_does_not_wait_for_its_end() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start(&mut server, 1).await?;
    let mut client = Greeted::connect(server.websocket, "/", &[]).await?.client;
    // The server may bring both messages together.
    client.send(Message::text("one")).await?;
    client.send(Message::text("answer, then wait")).await?;
    let one: Value = serde_json::from_str(&client.text().await?)?;
    assert_eq!(one["message"], "one");
    assert_eq!(client.text().await?, "the answer");
    assert_eq!(count(&runner, "waited")?, 0, "it waits until it may go on");
    runner.go_on()?;
    eventually("the handler's end", 1, async || count(&runner, "waited")).await
}

#[tokio::test]
async fn a_session_that_is_set_by_name_is_the_one_of_the_event() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let _runner = start(&mut server, 1).await?;
    let mut client = Client::connect(server.websocket).await?;
    assert_eq!(ask(&mut client, "hello").await?["session"]["messages"], json!(1));
    // The messages follow each other so closely that the later events bring the session as it was before.
    for message in ["set session", "hello", "update session", "hello"] {
        client.send(Message::text(message)).await?;
    }
    for expected in [
        json!({"messages": 71, "a": {"b": 1}}),
        json!({"messages": 72, "a": {"b": 1}}),
        json!({"messages": 73, "a": {"b": 1, "c": 2}}),
        json!({"messages": 74, "a": {"b": 1, "c": 2}}),
    ] {
        assert_eq!(serde_json::from_str::<Value>(&client.text().await?)?["session"], expected);
    }
    let mut php = gateway_tests::PhpPeer::connect(server.register[0]).await?;
    let session = php.ask(gateway_wire::bridge::Query::Session { client: client.id }).await?;
    let kept = r#"a:2:{s:8:"messages";i:74;s:1:"a";a:2:{s:1:"b";i:1;s:1:"c";i:2;}}"#;
    assert_eq!(session, gateway_wire::bridge::AnswerValue::Str(kept.as_bytes().to_vec()));
    Ok(())
}

#[tokio::test]
async fn a_worker_that_dies_is_started_anew_and_no_event_is_handled_twice() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start(&mut server, 1).await?;
    let mut client = Client::connect(server.websocket).await?;
    let mut worker = ask(&mut client, "hello").await?["worker"].clone();
    for ending in ["exit", "fatal", "kill"] {
        if ending == "kill" {
            let pid = worker.as_i64().unwrap_or_default();
            kill(Pid::from_raw(pid.try_into()?), Signal::SIGKILL)?;
        } else {
            client.send(Message::text(ending)).await?;
        }
        // The next message waits for the next process.
        let answer = ask(&mut client, &format!("after {ending}")).await?;
        assert_ne!(answer["worker"], worker);
        worker = answer["worker"].clone();
    }
    for message in ["exit", "fatal", "after exit", "after fatal", "after kill"] {
        assert_eq!(count(&runner, &format!("message {} {message}", client.id))?, 1, "{message}");
    }
    let status = runner.status().await?;
    assert!(status.contains(&format!(" {worker} serving")), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_reload_replaces_every_process_and_loses_nothing() -> anyhow::Result<()> {
    const CLIENTS: usize = 10;
    const ROUNDS: usize = 200;
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start(&mut server, 2).await?;
    let mut clients = Vec::new();
    let mut before = std::collections::BTreeSet::new();
    for _ in 0..CLIENTS {
        let mut client = Client::connect(server.websocket).await?;
        before.insert(ask(&mut client, "hello").await?["worker"].as_i64());
        clients.push(client);
    }
    assert_eq!(before.len(), 2);
    runner.signal(Signal::SIGUSR1)?;
    for round in 0..ROUNDS {
        for client in &mut clients {
            client.send(Message::text(format!("m{round}"))).await?;
        }
        for client in &mut clients {
            let answer: Value = serde_json::from_str(&client.text().await?)?;
            assert_eq!(answer["message"], json!(format!("m{round}")));
        }
    }
    eventually("old workers stop", 2, async || count(&runner, "stop ")).await?;
    for client in &mut clients {
        let worker = ask(client, "hello again").await?["worker"].as_i64();
        assert!(!before.contains(&worker), "{worker:?} is an old one");
        assert_eq!(count(&runner, &format!("message {} m", client.id))?, ROUNDS);
    }
    Ok(())
}

#[tokio::test]
async fn a_stop_handles_what_has_come_and_tells_of_the_end() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start(&mut server, 2).await?;
    let mut client = Client::connect(server.websocket).await?;
    ask(&mut client, "hello").await?;
    // A worker that waits for events wakes up at once when it is told to stop.
    let begun = std::time::Instant::now();
    runner.signal(Signal::SIGTERM)?;
    for _ in 0..2 {
        server.logs("a worker has gone").await?;
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    eventually("onWorkerStop", 2, async || count(&runner, "stop ")).await?;
    eventually("nobody runs", true, async || Ok(runner.status().await?.contains("no gateway-worker runs")))
        .await
}

#[tokio::test]
async fn kills_and_reloads_under_load_repeat_nothing_and_forget_no_close() -> anyhow::Result<()> {
    const CLIENTS: usize = 20;
    const ROUNDS: usize = 60;
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start(&mut server, 2).await?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::connect(server.websocket).await?);
    }
    let mut kills = 0;
    for round in 0..ROUNDS {
        for client in &mut clients {
            client.send(Message::text(format!("m{round}"))).await?;
        }
        match round % 20 {
            // The process that is killed is any one that serves; the other one, or its successor, takes its clients.
            10 => {
                // A reload may have ended the process meanwhile, and on a busy machine the processes may still be starting.
                eventually("a kill", true, async || {
                    Ok(runner.serving().await?.first().is_some_and(|pid| kill(*pid, Signal::SIGKILL).is_ok()))
                })
                .await?;
                kills += 1;
            }
            15 => runner.signal(Signal::SIGUSR1)?,
            _ => {}
        }
    }
    let ids: Vec<_> = clients.iter().map(|client| client.id.to_string()).collect();
    for client in clients {
        client.leave().await?;
    }
    for id in &ids {
        eventually("one onClose", 1, async || count(&runner, &format!("close {id}"))).await?;
        assert_eq!(count(&runner, &format!("connect {id}"))?, 1);
    }
    let diary = runner.diary()?;
    let messages: Vec<_> = diary.iter().filter(|line| line.starts_with("message ")).collect();
    let different: std::collections::HashSet<_> = messages.iter().collect();
    assert_eq!(messages.len(), different.len(), "a message was handled twice");
    // Each kill loses at most the message that was being handled.
    assert!(messages.len() + kills >= CLIENTS * ROUNDS, "{} after {kills} kills", messages.len());
    Ok(())
}

/// Connects, sends two messages and leaves as a tab does, whichever worker handles that.
async fn visit(websocket: std::net::SocketAddr) -> anyhow::Result<()> {
    let mut socket = Client::shake_hands(websocket, "/", &[]).await?;
    for message in ["first", "second"] {
        socket.send(Message::text(message)).await?;
    }
    soon("closing", socket.close(None)).await??;
    soon("the end", async { while let Some(Ok(_)) = socket.next().await {} }).await
}

#[tokio::test]
async fn ten_thousand_visits_while_workers_are_killed_and_reloaded_are_each_told_once() -> anyhow::Result<()>
{
    const VISITS: usize = 10_000;
    const AT_ONCE: usize = 250;
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start(&mut server, 3).await?;
    let mut kills = 0;
    for wave in 0..VISITS / AT_ONCE {
        let visits = (0..AT_ONCE).map(|_| visit(server.websocket));
        let disturbance = async {
            match wave % 4 {
                0 => runner.signal(Signal::SIGUSR1)?,
                2 => {
                    // One worker is left alone: while there is none, the server greets clients itself and tells nobody.
                    if let [pid, _, ..] = runner.serving().await?[..] {
                        // The process may have gone meanwhile.
                        kills += usize::from(kill(pid, Signal::SIGKILL).is_ok());
                    }
                }
                _ => {}
            }
            anyhow::Ok(())
        };
        tokio::try_join!(try_join_all(visits), disturbance)?;
    }
    assert!(kills > 0);
    // The event that a process was handling when it was killed is missing in the diary, and is not handled again.
    let events = || -> anyhow::Result<Vec<String>> {
        Ok(runner.diary()?.into_iter().filter(|line| !line.starts_with('s')).collect())
    };
    let result = eventually("all events", true, async || Ok(events()?.len() + kills >= 4 * VISITS)).await;
    let events = events()?;
    result.with_context(|| format!("{} events, {kills} kills", events.len()))?;
    let mut seen = std::collections::HashMap::<(&str, &str), usize>::new();
    for line in &events {
        let mut words = line.split(' ');
        let (word, id) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let what = if word == "message" { words.next().unwrap_or_default() } else { word };
        *seen.entry((id, what)).or_default() += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    Ok(())
}
