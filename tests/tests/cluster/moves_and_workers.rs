//! What workers hear of clients that come back at another node of the cluster, and what pages hear where clients cannot move.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use gateway_tests::{BridgeWorker, Nodes, PATIENCE, ResumingPage, SECRET, WorkerRunner, eventually, soon};
use gateway_wire::ClientId;
use gateway_wire::bridge::{EventKind, Order, WorkerToServer};
use gateway_wire::client_protocol::{GapReason, Opened, ResumeOffer, ResumeSecret};
use gateway_wire::gatewayworker::Command;
use gateway_wire::token::{Claims, TokenKey};
use serde_bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::operated_nodes::OperatedNodes;

/// The time for which a worker that is to hear nothing is listened to. A node looks every second what has become of a client that has
/// gone on at another one, and would tell its worker then.
const QUIET: Duration = Duration::from_secs(3);

/// A worker at each of two nodes, which announces moves or does not.
async fn workers(nodes: &mut Nodes, announce: [bool; 2]) -> anyhow::Result<[BridgeWorker; 2]> {
    let mut workers = Vec::new();
    for (node, moves) in nodes.nodes.iter_mut().zip(announce) {
        let mut worker = BridgeWorker::connect_as(node.server.register[0], SECRET.as_bytes()).await?;
        worker.say(&WorkerToServer::Join { name: "w", moves }).await?;
        node.server.logs("a worker joined").await?;
        workers.push(worker);
    }
    workers.try_into().map_err(|_| anyhow::anyhow!("two nodes"))
}

/// The next event of a worker, which says that it has handled it, as it gets only so many more before.
async fn told(worker: &mut BridgeWorker) -> anyhow::Result<(EventKind, ClientId, String)> {
    let (number, kind, client, body) = soon("an event", worker.told_of()).await??;
    worker.say(&WorkerToServer::Progress { taken: number, done: number }).await?;
    Ok((kind, client, String::from_utf8(body)?))
}

/// The first two events of a client that is new to its worker.
async fn connects(worker: &mut BridgeWorker, client: ClientId) -> anyhow::Result<()> {
    assert_eq!(told(worker).await?, (EventKind::Connect, client, String::new()));
    let (kind, of, _) = told(worker).await?;
    assert_eq!((kind, of), (EventKind::Handshake, client));
    Ok(())
}

async fn hears_nothing(worker: &mut BridgeWorker) -> anyhow::Result<()> {
    match tokio::time::timeout(QUIET, worker.told_of()).await {
        Err(_) => Ok(()),
        Ok(event) => anyhow::bail!("{event:?} instead of nothing"),
    }
}

#[tokio::test]
async fn workers_that_announce_moves_hear_of_one_instead_of_a_close_and_a_connect() -> anyhow::Result<()> {
    const TEST: &str = "workers_that_announce_moves_hear_of_one_instead_of_a_close_and_a_connect";
    let Some(mut nodes) = Nodes::start(TEST, 2, &["--shards", "1"]).await? else { return Ok(()) };
    let [mut first, mut second] = workers(&mut nodes, [true, true]).await?;
    let websockets = [0, 1].map(|node| nodes.nodes[node].server.websocket);
    let mut page = ResumingPage::connected(websockets[0]).await?;
    let at_first = page.id()?;
    connects(&mut first, at_first).await?;
    page.send("here").await?;
    assert_eq!(told(&mut first).await?, (EventKind::Message, at_first, "here".to_owned()));

    page.reset()?;
    page.connect(websockets[1]).await?;
    assert_eq!(page.outcome(), &Opened::Recovered { missed: 0 });
    let at_second = page.id()?;
    assert_ne!(at_first, at_second);
    page.send("there").await?;
    assert_eq!(told(&mut second).await?, (EventKind::Move, at_second, at_first.to_string()));
    assert_eq!(told(&mut second).await?, (EventKind::Message, at_second, "there".to_owned()));
    hears_nothing(&mut first).await?;

    // Back at the first node the client has a third client_id.
    page.reset()?;
    page.connect(websockets[0]).await?;
    let again = page.id()?;
    assert_eq!(told(&mut first).await?, (EventKind::Move, again, at_second.to_string()));
    page.close(1000).await?;
    assert_eq!(told(&mut first).await?, (EventKind::Close, again, String::new()));
    hears_nothing(&mut second).await?;
    hears_nothing(&mut first).await
}

#[tokio::test]
async fn clients_do_not_move_where_a_worker_does_not_announce_it() -> anyhow::Result<()> {
    const TEST: &str = "clients_do_not_move_where_a_worker_does_not_announce_it";
    for announce in [[false, true], [true, false], [false, false]] {
        let Some(mut nodes) = Nodes::start(TEST, 2, &["--shards", "1"]).await? else { return Ok(()) };
        let [mut first, mut second] = workers(&mut nodes, announce).await?;
        let mut page = ResumingPage::connected(nodes.nodes[0].server.websocket).await?;
        let old = page.id()?;
        connects(&mut first, old).await?;
        page.reset()?;
        page.connect(nodes.nodes[1].server.websocket).await?;
        assert_eq!(page.gap(), Some(GapReason::Moved), "{announce:?}");
        assert_eq!(told(&mut first).await?, (EventKind::Close, old, String::new()), "{announce:?}");
        connects(&mut second, page.id()?).await?;
        page.close(1000).await?;
        assert_eq!(told(&mut second).await?, (EventKind::Close, page.id()?, String::new()));
    }
    Ok(())
}

/// A program that knows its clients by their client_ids.
const PROGRAM: &str = r#"<?php
class Events {
    static function onConnect($id) {
        self::note("connect $id");
        $_SESSION['name'] = 'alice';
        Gateway::bindUid($id, 'alice');
        Gateway::sendToClient($id, 'welcome');
    }
    static function onMove($old, $new) {
        self::note("move $old $new {$_SESSION['name']} {$_SERVER['REMOTE_ADDR']}");
        Gateway::sendToClient($old, 'moved');
        Gateway::sendToUid('alice', 'to the uid');
    }
    static function onMessage($id, $message) {
        self::note("message $id $message {$_SESSION['name']}");
        Gateway::sendToClient($id, "heard $message");
    }
    static function onClose($id) {
        self::note("close $id {$_SESSION['name']}");
    }
    private static function note(string $line) {
        file_put_contents(getenv('DIARY'), "$line\n", FILE_APPEND);
    }
}"#;

#[tokio::test]
async fn a_program_in_php_is_told_of_a_move_once_and_reaches_the_client_by_its_old_id() -> anyhow::Result<()>
{
    const TEST: &str = "a_program_in_php_is_told_of_a_move_once_and_reaches_the_client_by_its_old_id";
    let Some(mut nodes) = Nodes::start(TEST, 2, &["--events", "workers"]).await? else { return Ok(()) };
    let registers: Vec<_> = nodes.nodes.iter().map(|node| node.server.register[0]).collect();
    let folder = tempfile::tempdir()?;
    let events = folder.path().join("Events.php");
    std::fs::write(&events, PROGRAM)?;
    let runner = WorkerRunner::start_for(events, &registers, 2, SECRET).await?;
    for node in &mut nodes.nodes {
        node.server.logs("a worker joined").await?;
    }
    let mut page = ResumingPage::connected(nodes.nodes[0].server.websocket).await?;
    let old = page.id()?;
    assert_eq!(page.text().await?, "welcome");
    page.reset()?;
    page.connect(nodes.nodes[1].server.websocket).await?;
    assert!(matches!(page.outcome(), Opened::Recovered { .. }), "{:?}", page.outcome());
    let new = page.id()?;
    page.send("hello").await?;
    // The page had taken the welcome, and may not have said so.
    for message in ["moved", "to the uid", "heard hello"] {
        assert_eq!(page.text().await?, message);
    }
    page.close(1000).await?;
    let diary = vec![
        format!("connect {old}"),
        format!("move {old} {new} alice 127.0.0.1"),
        format!("message {new} hello alice"),
        format!("close {new} alice"),
    ];
    eventually("the diary", diary, async || runner.diary()).await
}

/// A connection of a program that has GatewayWorker's own classes to one node. It gives its orders to each node itself.
struct GatewayClient(TcpStream);

impl GatewayClient {
    async fn connect(nodes: &Nodes, node: usize) -> anyhow::Result<Self> {
        let mut client = Self(TcpStream::connect(nodes.nodes[node].server.register[0]).await?);
        client.order(Command::ClientConnect { secret_key: SECRET.to_owned() }).await?;
        Ok(client)
    }

    async fn order(&mut self, command: Command<'_>) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes)?;
        Ok(soon("writing", self.0.write_all(&bytes)).await??)
    }
}

#[tokio::test]
async fn no_client_moves_shortly_after_an_order_that_a_program_sends_to_each_node_itself()
-> anyhow::Result<()> {
    const TEST: &str = "no_client_moves_shortly_after_an_order_that_a_program_sends_to_each_node_itself";
    for ordered_at in [0, 1] {
        let Some(nodes) = Nodes::start(TEST, 2, &["--shards", "1"]).await? else { return Ok(()) };
        let websockets = [0, 1].map(|node| nodes.nodes[node].server.websocket);
        let mut program = GatewayClient::connect(&nodes, ordered_at).await?;
        // An order that names a client goes to one node alone, and holds nobody up.
        let mut witness = ResumingPage::connected(websockets[ordered_at]).await?;
        let connection = witness.id()?.connection;
        program.order(Command::SendToOne { connection, message: b"to one", raw: false }).await?;
        assert_eq!(witness.text().await?, "to one");
        let mut page = ResumingPage::connected(websockets[0]).await?;
        page.reset()?;
        page.come_back(websockets[1]).await?;
        assert_eq!(page.outcome(), &Opened::Recovered { missed: 0 });
        page.reset()?;
        page.come_back(websockets[0]).await?;
        assert_eq!(page.outcome(), &Opened::Recovered { missed: 0 });

        let to_all = Command::SendToAll { message: b"to all", only: None, except: vec![], raw: false };
        program.order(to_all).await?;
        assert_eq!(witness.text().await?, "to all");
        page.reset()?;
        page.come_back(websockets[1]).await?;
        assert_eq!(page.gap(), Some(GapReason::Moved), "ordered at node {ordered_at}");

        // After a while clients move again.
        let mut to = 0;
        eventually("moves", Opened::Recovered { missed: 0 }, async || {
            page.reset()?;
            page.come_back(websockets[to]).await?;
            to = 1 - to;
            Ok(page.outcome().clone())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_php_has_closed_while_it_was_away_is_closed_at_another_node() -> anyhow::Result<()> {
    const TEST: &str = "a_client_that_php_has_closed_while_it_was_away_is_closed_at_another_node";
    let Some(nodes) = OperatedNodes::start(TEST, 2, &[]).await? else { return Ok(()) };
    let mut php = nodes.php(0).await?;
    let mut page = ResumingPage::connected(nodes.nodes[0].server.websocket).await?;
    let old = page.id()?;
    page.reset()?;
    eventually("the page is away", 1.0, async || nodes.metric(0, "gateway_parked_clients").await).await?;
    php.order(Order::Close { client: old, last: Some(Bytes::new(b"the last")) }).await?;
    php.acked().await?;
    let mut elsewhere = ResumingPage::<TcpStream>::default();
    elsewhere.end = page.end.clone();
    elsewhere.connect(nodes.nodes[1].server.websocket).await?;
    assert_eq!(elsewhere.gap(), Some(GapReason::Closed));
    assert_ne!(elsewhere.id()?, old);
    // What is left of the client waits at its own node.
    page.connect(nodes.nodes[0].server.websocket).await?;
    assert_eq!(page.outcome(), &Opened::Recovered { missed: 1 });
    assert_eq!(page.text().await?, "the last");
    assert_eq!(page.closed().await?.0, 1000);
    Ok(())
}

#[tokio::test]
async fn a_made_up_secret_of_another_node_disturbs_nobody() -> anyhow::Result<()> {
    const TEST: &str = "a_made_up_secret_of_another_node_disturbs_nobody";
    let Some(nodes) = Nodes::start(TEST, 2, &[]).await? else { return Ok(()) };
    let mut php = nodes.php(0).await?;
    let mut page = ResumingPage::connected(nodes.nodes[0].server.websocket).await?;
    let id = page.id()?;
    php.bind(id, "alice").await?;
    php.acked().await?;
    let offer = ResumeOffer { secret: ResumeSecret::new(id, [7; 16]), seen: 0 };
    let mut other = ResumingPage::<TcpStream>::default();
    // The page has been a client before, as who comes with a secret has.
    let tcp = TcpStream::connect(nodes.nodes[1].server.websocket).await?;
    other.over_with(tcp, "/", &[], Some(offer)).await?;
    assert_eq!(other.init.as_ref().and_then(|init| init.reason), Some(GapReason::Unknown));
    php.send_to_uid("alice", "still there").await?;
    assert_eq!(page.text().await?, "still there");
    assert_eq!(php.clients_of("alice").await?, [id]);
    Ok(())
}

#[tokio::test]
async fn a_page_whose_node_cannot_be_asked_tries_again_and_misses_nothing() -> anyhow::Result<()> {
    const TEST: &str = "a_page_whose_node_cannot_be_asked_tries_again_and_misses_nothing";
    let Some(nodes) = Nodes::start(TEST, 2, &["--cluster-timeout", "0.3"]).await? else { return Ok(()) };
    let mut php = nodes.php(0).await?;
    let mut page = ResumingPage::connected(nodes.nodes[0].server.websocket).await?;
    php.bind(page.id()?, "alice").await?;
    php.acked().await?;
    page.reset()?;
    php.send_to_uid("alice", "missed").await?;
    php.acked().await?;
    nodes.nodes[0].way.stall();
    let refused = page.connect(nodes.nodes[1].server.websocket).await;
    let error = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("Again"), "{error:?} instead of a close with 1013");
    nodes.nodes[0].way.open();
    let start = std::time::Instant::now();
    while let Err(error) = page.connect(nodes.nodes[1].server.websocket).await {
        anyhow::ensure!(start.elapsed() < PATIENCE, "{error}");
    }
    assert_eq!(page.outcome(), &Opened::Recovered { missed: 1 });
    assert_eq!(page.text().await?, "missed");
    Ok(())
}

#[tokio::test]
async fn a_secret_stands_for_the_token_at_another_node_and_no_token_of_somebody_else_stands_beside_it()
-> anyhow::Result<()> {
    const TEST: &str =
        "a_secret_stands_for_the_token_at_another_node_and_no_token_of_somebody_else_stands_beside_it";
    const KEY: &str = "a key of thirty-two bytes or more";
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, KEY)?;
    let path = file.path().to_str().context("a path in UTF-8")?;
    let flags = ["--require-token", "true", "--token-key-file", path];
    let Some(nodes) = Nodes::start(TEST, 2, &flags).await? else { return Ok(()) };
    let mut php = nodes.php(0).await?;
    let with = |uid: &str| -> anyhow::Result<String> {
        let expires = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 100;
        let claims = Claims { uid: uid.to_owned(), expires, ..Claims::default() };
        Ok(format!("/?token={}", TokenKey::new(KEY.as_bytes()).mint(&claims)?))
    };
    let come = async |page: &mut ResumingPage, node: usize, path: &str| {
        page.reset()?;
        let tcp = TcpStream::connect(nodes.nodes[node].server.websocket).await?;
        page.over(tcp, path, &[]).await
    };
    let mut page = ResumingPage::default();
    come(&mut page, 0, &with("alice")?).await?;
    // Without a token, and with one of the same uid, which the client's second node knows from the first.
    for (node, path) in [(1, "/".to_owned()), (0, with("alice")?), (1, "/".to_owned())] {
        come(&mut page, node, &path).await?;
        assert_eq!(page.outcome(), &Opened::Recovered { missed: 0 }, "{path}");
        assert_eq!(php.clients_of("alice").await?, [page.id()?]);
    }
    let secret = page.end.offer();
    come(&mut page, 0, &with("mallory")?).await?;
    assert_eq!(page.gap(), Some(GapReason::Identity));
    eventually("clients of alice", vec![], async || php.clients_of("alice").await).await?;
    let mut alice = ResumingPage::<TcpStream>::default();
    let tcp = TcpStream::connect(nodes.nodes[1].server.websocket).await?;
    alice.over_with(tcp, &with("alice")?, &[], secret).await?;
    assert_eq!(alice.init.as_ref().and_then(|init| init.reason), Some(GapReason::Identity));
    Ok(())
}

#[tokio::test]
async fn moves_are_counted_at_both_nodes() -> anyhow::Result<()> {
    const TEST: &str = "moves_are_counted_at_both_nodes";
    let Some(nodes) = OperatedNodes::start(TEST, 2, &[]).await? else { return Ok(()) };
    let counts = async |node: usize| {
        let operator = nodes.operator(node)?;
        let came = operator.metric("gateway_cluster_moved_in_total").await?;
        let went = operator.metric("gateway_cluster_moved_out_total").await?;
        let status = operator.json("/status").await?;
        let shown = ["moved_in", "moved_out"].map(|key| status["cluster"][key].as_f64());
        anyhow::Ok(([came, went], shown))
    };
    let both = |came, went| ([came, went], [Some(came), Some(went)]);
    let mut page = ResumingPage::connected(nodes.nodes[0].server.websocket).await?;
    for (to, expected) in [(1, [both(0.0, 1.0), both(1.0, 0.0)]), (0, [both(1.0, 1.0), both(1.0, 1.0)])] {
        page.reset()?;
        page.connect(nodes.nodes[to].server.websocket).await?;
        assert_eq!(page.outcome(), &Opened::Recovered { missed: 0 });
        // A node counts a client once the client is complete, and the page may have its init a moment before.
        eventually("counts", expected, async || Ok([counts(0).await?, counts(1).await?])).await?;
    }
    // A client that comes back at its own node has not moved.
    page.reset()?;
    page.connect(nodes.nodes[0].server.websocket).await?;
    assert_eq!([counts(0).await?, counts(1).await?], [both(1.0, 1.0), both(1.0, 1.0)]);
    Ok(())
}
