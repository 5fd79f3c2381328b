//! The worker runner and clients that move between the nodes of a cluster.

use gateway_tests::{Greeted, MovingProxy, Server, WorkerRunner, eventually};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// A handler that notes what it hears.
const MOVING: &str = r#"<?php
class Events {
    static function onConnect($id) {
        self::note("connect $id");
    }
    static function onMove($old, $new) {
        self::note("move $old $new");
        $_SESSION['before'] = $old;
        $_SESSION['calls'] = ($_SESSION['calls'] ?? 0) + 1;
        Gateway::bindUid($new, 'me');
        Gateway::sendToCurrentClient(json_encode(
            ['type' => 'init', 'client_id' => $new, 'old' => $old, 'named' => $_SERVER['GATEWAY_CLIENT_ID']]
        ));
    }
    static function onMessage($id, $message) {
        Gateway::sendToCurrentClient(json_encode([$message, $_SESSION, Gateway::getUidByClientId($id)]));
    }
    static function onClose($id) {
        self::note("close $id before {$_SESSION['before']}");
    }
    private static function note(string $line) {
        file_put_contents(getenv('DIARY'), "$line\n", FILE_APPEND);
    }
}"#;

const OLD: &str = "c00002010b5400000009";

async fn start(
    code: &str,
    register: std::net::SocketAddr,
) -> anyhow::Result<(tempfile::TempDir, WorkerRunner)> {
    let folder = tempfile::tempdir()?;
    let events = folder.path().join("Events.php");
    std::fs::write(&events, code)?;
    let runner = WorkerRunner::start_with(events, register, 1).await?;
    Ok((folder, runner))
}

#[tokio::test]
async fn a_client_that_has_moved_is_told_by_both_ids_and_is_the_current_client() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "1"]).await?;
    let proxy = MovingProxy::start(server.register[0], OLD.parse()?).await?;
    let (_folder, runner) = start(MOVING, proxy.address).await?;
    let line = server.logs("a worker joined").await?;
    assert!(line.contains("takes_moves=true"), "{line}");
    let Greeted { mut client, init } = Greeted::connect(server.websocket, "/", &[]).await?;
    let new = client.id.to_string();
    assert_eq!(init, json!({"type": "init", "client_id": new, "old": OLD, "named": new}));
    assert_ne!(new, OLD);
    for text in ["one", "two"] {
        client.send(Message::text(text)).await?;
        let answer: Value = serde_json::from_str(&client.text().await?)?;
        assert_eq!(answer, json!([text, {"before": OLD, "calls": 1}, "me"]));
    }
    client.leave().await?;
    let diary = vec![format!("move {OLD} {new}"), format!("close {new} before {OLD}")];
    eventually("the diary", diary, async || runner.diary()).await
}

/// Programs without a method that can be called as onMove.
const WITHOUT: [&str; 3] = [
    "<?php class Events { static function onMessage($id, $message) {} }",
    "<?php class Events { private static function onMove($old, $new) {} }",
    "<?php class Events { static function __callStatic($name, $arguments) {} }",
];

#[tokio::test]
async fn a_program_that_has_no_on_move_announces_nothing() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "1"]).await?;
    for (code, announces) in WITHOUT.into_iter().map(|code| (code, false)).chain([(MOVING, true)]) {
        let _runner = start(code, server.register[0]).await?;
        let line = server.logs("a worker joined").await?;
        assert!(line.contains(&format!("takes_moves={announces}")), "{line} for {code}");
    }
    Ok(())
}
