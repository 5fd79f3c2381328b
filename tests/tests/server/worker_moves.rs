//! Workers of the bridge protocol that announce moves of clients, and those that do not.

use futures_util::SinkExt as _;
use gateway_tests::{BridgeWorker, Client, Server, WorkerPeer, soon};
use gateway_wire::bridge::{EventKind, WorkerToServer};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn the_announcement_is_known_and_changes_nothing_for_clients_that_stay() -> anyhow::Result<()> {
    for moves in [false, true] {
        let mut server = Server::start(&["--shards", "1"]).await?;
        let mut worker = BridgeWorker::connect(server.register[0]).await?;
        worker.say(&WorkerToServer::Join { name: "w", moves }).await?;
        let line = server.logs("a worker joined").await?;
        assert!(line.contains(&format!("takes_moves={moves}")), "{line}");
        let mut socket = Client::shake_hands(server.websocket, "/", &[]).await?;
        soon("sending", socket.send(Message::text("hello"))).await??;
        assert_eq!(worker.told().await?, (1, EventKind::Connect, Vec::new()));
        let (number, kind, body) = worker.told().await?;
        assert_eq!((number, kind), (2, EventKind::Handshake));
        assert!(body.starts_with(b"a:3:{"));
        assert_eq!(worker.told().await?, (3, EventKind::Message, b"hello".to_vec()));
        worker.say(&WorkerToServer::Progress { taken: 3, done: 3 }).await?;
        drop(socket);
        assert_eq!(worker.told().await?, (4, EventKind::Close, Vec::new()));
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_with_the_announcement_and_one_without_serve_side_by_side() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "1"]).await?;
    let mut workers = Vec::new();
    for (name, moves) in [("old", false), ("new", true)] {
        let mut worker = BridgeWorker::connect(server.register[0]).await?;
        worker.say(&WorkerToServer::Join { name, moves }).await?;
        server.logs("a worker joined").await?;
        workers.push(worker);
    }
    // Each new client goes to the worker that has fewest.
    let mut sockets = Vec::new();
    for _ in 0..2 {
        sockets.push(Client::shake_hands(server.websocket, "/", &[]).await?);
    }
    for worker in &mut workers {
        assert_eq!(worker.told().await?.1, EventKind::Connect);
    }
    // The clients of the one that leaves, and what it has not begun, go to the other.
    drop(workers.remove(1));
    server.logs("a worker has gone").await?;
    for kind in [EventKind::Handshake, EventKind::Connect, EventKind::Handshake] {
        assert_eq!(workers[0].told().await?.1, kind);
    }
    Ok(())
}

#[tokio::test]
async fn a_business_worker_takes_no_moves() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "1"]).await?;
    let _worker = WorkerPeer::connect(server.register[0], "w:0").await?;
    let line = server.logs("a worker joined").await?;
    assert!(line.contains("takes_moves=false"), "{line}");
    Ok(())
}
