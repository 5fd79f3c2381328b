//! Programs that were written for GatewayWorker run on our worker runner: the same file gives every client the same messages
//! as on the original stack, whether or not Workerman is installed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gateway_tests::{Client, Greeted, OriginalStack, Server, WorkerRunner, eventually, root, skip};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// The messages that the clients got, in order: the client's name and the text.
type Transcript = Vec<(&'static str, String)>;

/// Starts one worker process, with the options `more` of the runner.
async fn start(server: &mut Server, events: PathBuf, more: &[&str]) -> anyhow::Result<WorkerRunner> {
    start_some(server, events, 1, more).await
}

async fn start_some(
    server: &mut Server,
    events: PathBuf,
    count: usize,
    more: &[&str],
) -> anyhow::Result<WorkerRunner> {
    let runner = WorkerRunner::start_in(events, &[server.register[0]], count, "", more).await?;
    for _ in 0..count {
        server.logs("a worker joined").await?;
    }
    Ok(runner)
}

fn write(folder: &Path, text: &str) -> anyhow::Result<PathBuf> {
    let events = folder.join("Events.php");
    std::fs::write(&events, text)?;
    Ok(events)
}

async fn say(client: &mut Client, what: Value) -> anyhow::Result<()> {
    client.send(Message::text(what.to_string())).await
}

/// Two clients play in one room and a third in another.
async fn play(websocket: SocketAddr) -> anyhow::Result<Transcript> {
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
        // The lists already contain what the event itself has changed.
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

/// Runs a program on the runner without Workerman, on the runner with it, and on the original, and checks that every client
/// gets the same; gives what that is.
async fn same_everywhere(
    test: &str,
    program: &str,
    options: &[&str],
    play: impl AsyncFn(SocketAddr) -> anyhow::Result<Transcript>,
) -> anyhow::Result<Transcript> {
    let events = root().join("tests/php/programs").join(program).join("Events.php");
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start(&mut server, events.clone(), options).await?;
    let without_workerman = play(server.websocket).await?;
    drop((runner, server));
    if let Some(reason) = OriginalStack::missing() {
        skip(test, &reason);
        return Ok(without_workerman);
    }
    let folder = tempfile::tempdir()?;
    let autoload = root().join("tests/php/gatewayworker/autoload.php");
    let text = format!("<?php require '{}'; require '{}';", autoload.display(), events.display());
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start(&mut server, write(folder.path(), &text)?, options).await?;
    assert_eq!(play(server.websocket).await?, without_workerman);
    drop((runner, server));
    let stack = OriginalStack::start_with(events, 1).await?;
    assert_eq!(play(stack.websocket).await?, without_workerman);
    Ok(without_workerman)
}

/// Waits for one more message of each of these clients, one after the other.
async fn hear(told: &mut Transcript, clients: &mut [(&'static str, &mut Client)]) -> anyhow::Result<()> {
    for (name, client) in clients {
        told.push((name, client.text().await?.to_string()));
    }
    Ok(())
}

#[tokio::test]
async fn a_game_of_rooms_and_timers_tells_every_client_what_it_does_on_the_original() -> anyhow::Result<()> {
    let test = "a_game_of_rooms_and_timers_tells_every_client_what_it_does_on_the_original";
    let told = same_everywhere(test, "rooms", &[], play).await?;
    assert_eq!(told[0], ("ann", r#"{"login":"Ann","names":["Ann"]}"#.to_owned()));
    assert_eq!(told[4], ("ann", r#"{"by":"Ann","moves":{"Ann":1}}"#.to_owned()));
    assert_eq!(told.last(), Some(&("ann", r#"{"logout":"Bob","still":1}"#.to_owned())));
    Ok(())
}

/// Three clients send many small broadcasts that leave out the sender, and one of them is thrown out.
async fn swim(websocket: SocketAddr) -> anyhow::Result<Transcript> {
    const STROKES: usize = 200;
    let mut told = Transcript::new();
    let mut ann = Client::connect(websocket).await?;
    let mut bob = Client::connect(websocket).await?;
    let mut cy = Client::connect(websocket).await?;
    for (number, (name, client)) in
        [("ann", &mut ann), ("bob", &mut bob), ("cy", &mut cy)].into_iter().enumerate()
    {
        say(client, json!({"type": "login", "id": number + 1})).await?;
        hear(&mut told, &mut [(name, client)]).await?;
    }
    for stroke in 0..STROKES {
        say(&mut ann, json!({"type": "update", "x": stroke as f64 / 4.0, "y": "7", "name": "Ann"})).await?;
        if stroke % 10 == 0 {
            say(&mut ann, json!({"type": "message", "text": "中文 <b>"})).await?;
        }
    }
    for _ in 0..STROKES + STROKES / 10 {
        hear(&mut told, &mut [("bob", &mut bob), ("cy", &mut cy)]).await?;
    }
    for _ in 0..STROKES / 10 {
        hear(&mut told, &mut [("ann", &mut ann)]).await?;
    }
    say(&mut bob, json!({"type": "update", "x": 1e9, "y": -0.5})).await?;
    hear(&mut told, &mut [("ann", &mut ann), ("cy", &mut cy)]).await?;
    say(&mut bob, json!({"type": "poke", "who": ann.id.to_string()})).await?;
    hear(&mut told, &mut [("ann", &mut ann), ("bob", &mut bob)]).await?;
    // Text that is not JSON and a type that the program does not know have no effect.
    ann.send(Message::text("{")).await?;
    say(&mut ann, json!({"type": "nothing"})).await?;
    say(&mut ann, json!({"type": "throw out", "who": cy.id.to_string()})).await?;
    hear(&mut told, &mut [("cy", &mut cy), ("ann", &mut ann), ("bob", &mut bob)]).await?;
    say(&mut bob, json!({"type": "count", "who": cy.id.to_string()})).await?;
    hear(&mut told, &mut [("bob", &mut bob)]).await?;
    ann.leave().await?;
    hear(&mut told, &mut [("bob", &mut bob)]).await?;
    Ok(told)
}

#[tokio::test]
async fn many_small_broadcasts_of_a_pond_are_those_of_the_original() -> anyhow::Result<()> {
    let test = "many_small_broadcasts_of_a_pond_are_those_of_the_original";
    let told = same_everywhere(test, "pond", &[], swim).await?;
    let first = r#"{"type":"update","id":1,"x":0,"y":7,"name":"Ann"}"#;
    assert_eq!(told[3..5], [("bob", first.to_owned()), ("cy", first.to_owned())]);
    let [.., out, _, _, count, left] = &told[..] else { anyhow::bail!("{told:?}") };
    assert_eq!(*out, ("cy", r#"{"type":"out"}"#.to_owned()));
    assert_eq!(*count, ("bob", "[2,0]".to_owned()));
    assert_eq!(*left, ("bob", r#"{"type":"closed","id":1}"#.to_owned()));
    Ok(())
}

/// Two clients play and one watches, until a player has five stones in a row.
async fn put_stones(websocket: SocketAddr) -> anyhow::Result<Transcript> {
    let mut told = Transcript::new();
    let mut ann = Client::connect(websocket).await?;
    let mut bob = Client::connect(websocket).await?;
    let mut cy = Client::connect(websocket).await?;
    let enter = |name: &str| json!({"do": "enter", "room": "one", "name": name});
    let put = |at: String| json!({"do": "put", "at": at});
    say(&mut ann, enter("Ann")).await?;
    hear(&mut told, &mut [("ann", &mut ann)]).await?;
    say(&mut bob, enter("Bob")).await?;
    // The second message says whose turn it is.
    hear(&mut told, &mut [("bob", &mut bob), ("ann", &mut ann)]).await?;
    hear(&mut told, &mut [("ann", &mut ann)]).await?;
    say(&mut cy, enter("Cy")).await?;
    hear(&mut told, &mut [("cy", &mut cy), ("bob", &mut bob), ("ann", &mut ann)]).await?;
    say(&mut cy, put("a1".to_owned())).await?;
    hear(&mut told, &mut [("cy", &mut cy)]).await?;
    for row in 1..5 {
        say(&mut ann, put(format!("a{row}"))).await?;
        hear(&mut told, &mut [("cy", &mut cy), ("bob", &mut bob)]).await?;
        hear(&mut told, &mut [("bob", &mut bob)]).await?;
        if row == 1 {
            say(&mut bob, put("a1".to_owned())).await?;
            hear(&mut told, &mut [("bob", &mut bob)]).await?;
            say(&mut bob, json!({"do": "slow"})).await?;
            hear(&mut told, &mut [("cy", &mut cy), ("bob", &mut bob), ("ann", &mut ann)]).await?;
        }
        say(&mut bob, put(format!("b{row}"))).await?;
        hear(&mut told, &mut [("cy", &mut cy), ("ann", &mut ann)]).await?;
        hear(&mut told, &mut [("ann", &mut ann)]).await?;
    }
    say(&mut ann, put("a5".to_owned())).await?;
    hear(&mut told, &mut [("cy", &mut cy), ("bob", &mut bob)]).await?;
    hear(&mut told, &mut [("cy", &mut cy), ("bob", &mut bob), ("ann", &mut ann)]).await?;
    say(&mut ann, json!({"do": "save", "at": 9})).await?;
    hear(&mut told, &mut [("ann", &mut ann)]).await?;
    say(&mut bob, json!({"do": "leave"})).await?;
    hear(&mut told, &mut [("cy", &mut cy), ("ann", &mut ann)]).await?;
    cy.leave().await?;
    hear(&mut told, &mut [("ann", &mut ann)]).await?;
    say(&mut ann, json!({"do": "dismiss"})).await?;
    hear(&mut told, &mut [("ann", &mut ann)]).await?;
    hear(&mut told, &mut [("ann", &mut ann)]).await?;
    Ok(told)
}

#[tokio::test]
async fn two_who_play_and_one_who_watches_are_told_what_the_original_tells() -> anyhow::Result<()> {
    let test = "two_who_play_and_one_who_watches_are_told_what_the_original_tells";
    let told = same_everywhere(test, "board", &[], put_stones).await?;
    assert_eq!(told[3], ("ann", r#"{"turn":"black"}"#.to_owned()));
    assert!(told.contains(&("cy", r#"{"late":"white"}"#.to_owned())), "{told:?}");
    assert!(
        told.contains(&("cy", r#"{"what":"won","name":"Ann","stones":9,"wins":1}"#.to_owned())),
        "{told:?}"
    );
    let saved = r#"{"room":"one","name":"Ann","side":"black","wins":1,"saved":{"at":9,"by":["Ann"]}}"#;
    assert!(told.contains(&("ann", saved.to_owned())), "{told:?}");
    assert_eq!(told.last(), Some(&("ann", r#"{"count":0}"#.to_owned())));
    Ok(())
}

/// Asks a handler in a namespace about handshakes, sessions and lists.
async fn ask_the_service(websocket: SocketAddr) -> anyhow::Result<Transcript> {
    let mut told = Transcript::new();
    let headers = [("cookie", "theme=dark; user=%C3%BC"), ("user-agent", "test/1.0")];
    let uri = "/push/v1?uid=7&name=Ann&tags[]=a&tags[b]=c";
    let mut ann = Greeted::connect(websocket, uri, &headers).await?.client;
    // Both clients are there before anything is said: a broadcast might or might not reach a client that comes while it goes
    // out.
    let mut bob = Greeted::connect(websocket, "/", &[]).await?.client;
    ann.send(Message::text("who")).await?;
    hear(&mut told, &mut [("ann", &mut ann), ("bob", &mut bob)]).await?;
    bob.send(Message::text("who")).await?;
    hear(&mut told, &mut [("ann", &mut ann), ("bob", &mut bob)]).await?;
    for question in ["server", "uids", "nest", "nest", "who", "中文"] {
        ann.send(Message::text(question)).await?;
        hear(&mut told, &mut [("ann", &mut ann), ("bob", &mut bob)]).await?;
    }
    // After `forget`, the original gives an empty session or none, depending on whether the change arrives in time; so the
    // next question is `nest`, whose answer is the same for both.
    for question in ["uids", "forget", "nest", "who"] {
        bob.send(Message::text(question)).await?;
        hear(&mut told, &mut [("ann", &mut ann), ("bob", &mut bob)]).await?;
    }
    ann.leave().await?;
    hear(&mut told, &mut [("bob", &mut bob)]).await?;
    Ok(told)
}

#[tokio::test]
async fn a_handler_in_a_namespace_gets_handshakes_and_sessions_as_on_the_original() -> anyhow::Result<()> {
    let test = "a_handler_in_a_namespace_gets_handshakes_and_sessions_as_on_the_original";
    let options = [r"--handler=app\push\Events"];
    let told = same_everywhere(test, "think", &options, ask_the_service).await?;
    let who = concat!(
        r#"{"get":{"uid":"7","name":"Ann","tags":{"0":"a","b":"c"}},"cookie":{"theme":"dark","user":"%C3%BC"},"#,
        r#""agent":"test\/1.0","path":"\/push\/v1"}"#
    );
    assert_eq!(told[0], ("ann", who.to_owned()));
    assert!(told.contains(&("bob", r#"[["7"],"7",0]"#.to_owned())), "{told:?}");
    assert_eq!(told.last(), Some(&("bob", "logout Ann".to_owned())));
    Ok(())
}

/// An event handler that says which process it runs in, and misbehaves when it is told to.
const MISBEHAVING: &str = r#"<?php
use Workerman\Lib\Timer;
use Workerman\Worker;
class Events {
    static function spin() {
        while (true);
    }
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
            case 'spin later': Timer::add(0, 'Events::spin', [], false); return;
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
        // The message waits for the next process.
        let next = ask(&mut client, "hello").await?;
        assert_ne!(next, pid, "after {hang}");
        pid = next;
    }
    // For a handler that hangs in PHP's own code, the log says where it hangs, both in events and in timers.
    runner.logs("a handler has not ended within 1 s (--handler-timeout)").await?;
    runner.logs("Events::onMessage(").await?;
    client.send(Message::text("spin later")).await?;
    runner.logs("Events::spin(").await?;
    assert_ne!(ask(&mut client, "hello").await?, pid);
    Ok(())
}

/// An event handler that writes down what its worker is told at the start, in a timer of Workerman's old class name.
const TIMERS: &str = r#"<?php
use Workerman\Lib\Timer;
class Events {
    static function onWorkerStart(\GatewayWorker\BusinessWorker $worker) {
        Timer::add(0, function ($text) {
            file_put_contents(getenv('DIARY'), "$text\n", FILE_APPEND);
        }, ["$worker->id $worker->name $worker->count"], false);
    }
    static function onConnect($id) {
        \Gateway::sendToCurrentClient(json_encode(['type' => 'init', 'client_id' => $id]));
    }
    static function onMessage($id, $message) {
        if ($message === 'tick') {
            return Timer::add(0.02, fn () => file_put_contents(getenv('DIARY'), "tick\n", FILE_APPEND));
        }
        $_SESSION['message'] = $message;
        $said = [];
        Timer::add(0, function () use (&$said) {
            $said[] = $_SESSION;
            try {
                \Gateway::sendToCurrentClient('to whom?');
            } catch (Exception) {
                $said[] = 'nobody';
            }
            throw new LogicException('thrown in a timer');
        }, [], false);
        // The first timer deletes the second, which is due as well and must not run any more.
        $second = 0;
        Timer::add(0, function () use (&$said, &$second) { $said[] = Timer::del($second); }, [], false);
        $second = Timer::add(0, function () use (&$said) { $said[] = 'deleted'; }, [], false);
        Timer::add(0.05, function () use ($id, &$said) { \Gateway::sendToClient($id, json_encode($said)); }, [], false);
    }
}"#;

#[tokio::test]
async fn a_worker_knows_which_it_is_and_its_timers_are_of_no_client() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let events = write(folder.path(), TIMERS)?;
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = start_some(&mut server, events, 3, &["--name=game"]).await?;
    let written = ["0 game 3", "1 game 3", "2 game 3"].map(str::to_owned);
    let diary = async || {
        let mut lines = runner.diary()?;
        lines.sort();
        Ok(lines)
    };
    eventually("what the workers are told", written.to_vec(), diary).await?;
    let mut client = Client::connect(server.websocket).await?;
    assert_eq!(ask(&mut client, "hello").await?, r#"[null,"nobody",true]"#);
    runner.logs("thrown in a timer").await?;
    // The timers that do not repeat have run only once.
    assert_eq!(diary().await?, written);
    client.send(Message::text("tick")).await?;
    // A repeating timer goes on while there is no server.
    let ticks = async || anyhow::Ok(diary().await?.iter().filter(|line| *line == "tick").count());
    eventually("a tick", true, async || Ok(ticks().await? > 0)).await?;
    server.signal(Signal::SIGKILL)?;
    server.exit().await?;
    runner.logs("Can not connect to").await?;
    let before = ticks().await?;
    eventually("ticks without a server", true, async || Ok(ticks().await? > before + 2)).await
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
    // After the third `keep` more than three quarters of the memory are in use: the process is replaced, and answers until
    // then.
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
