//! Workers of the bridge protocol that misbehave are closed and told why, and the events that they had not begun go to
//! another worker.

use std::os::unix::fs::FileExt as _;

use anyhow::Context as _;
use futures_util::SinkExt as _;
use gateway_tests::{BridgeWorker, Client, Server, new_producer, soon};
use gateway_wire::bridge::{EventKind, WorkerToServer, progress_file};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn what_a_worker_may_not_say_ends_it() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let long = "x".repeat(300);
    for (first, second, why) in [
        (WorkerToServer::Leave, None, "must join before"),
        (WorkerToServer::Join { name: &long, moves: false }, None, "over 256 bytes"),
        (
            WorkerToServer::Join { name: "a", moves: false },
            Some(WorkerToServer::Join { name: "a", moves: false }),
            "joins once",
        ),
        (
            WorkerToServer::Join { name: "b", moves: false },
            Some(WorkerToServer::Progress { taken: 1, done: 0 }),
            "taken 1 and done 0 of 0",
        ),
        (
            WorkerToServer::Join { name: "c", moves: false },
            Some(WorkerToServer::Progress { taken: 0, done: 1 }),
            "taken 0 and done 1 of 0",
        ),
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
    first.say(&WorkerToServer::Join { name: "first", moves: false }).await?;
    server.logs("a worker joined").await?;
    let mut socket = Client::shake_hands(server.websocket, "/", &[]).await?;
    hear_three(&mut socket, &mut first).await?;
    first.say(&WorkerToServer::Progress { taken: 3, done: 2 }).await?;
    first.say(&WorkerToServer::Leave).await?;
    drop(first);
    inherits(&mut server, &["two", "three"]).await
}

/// Sends three messages, of which the last is the worker's fifth event: before it come connect, handshake, "one" and "two".
async fn hear_three(
    socket: &mut WebSocketStream<TcpStream>,
    worker: &mut BridgeWorker,
) -> anyhow::Result<()> {
    for _ in 0..2 {
        worker.told().await?;
    }
    // A worker that says nothing of what it has done gets four batches, and each event may be one.
    worker.say(&WorkerToServer::Progress { taken: 2, done: 2 }).await?;
    for text in ["one", "two", "three"] {
        socket.send(Message::text(text)).await?;
    }
    for text in ["one", "two", "three"] {
        assert_eq!(worker.told().await?.2, text.as_bytes());
    }
    Ok(())
}

/// Joins as another worker after the first one has gone, and checks that it gets the events in `left`.
async fn inherits(server: &mut Server, left: &[&str]) -> anyhow::Result<()> {
    server.logs("a worker has gone").await?;
    let mut heir = BridgeWorker::connect(server.register[0]).await?;
    heir.say(&WorkerToServer::Join { name: "heir", moves: false }).await?;
    for (at, text) in (1..).zip(left) {
        let (number, kind, body) = heir.told().await?;
        assert_eq!((number, kind, body.as_slice()), (at, EventKind::Message, text.as_bytes()));
    }
    Ok(())
}

#[tokio::test]
async fn what_a_worker_has_counted_its_heir_does_not_get() -> anyhow::Result<()> {
    // In turn, the worker counts no event as begun, counts as many as it has begun, and counts more than it was given.
    for (counted, left) in [(0, &["one", "two", "three"][..]), (4, &["three"]), (u64::MAX, &[])] {
        let mut server = Server::start(&["--shards", "1"]).await?;
        let mut worker = BridgeWorker::connect(server.register[0]).await?;
        worker.say(&WorkerToServer::Join { name: "first", moves: false }).await?;
        server.logs("a worker joined").await?;
        let name = progress_file::name(new_producer().0);
        let path = progress_file::path(&name).unwrap();
        std::fs::write(&path, 0_u64.to_ne_bytes())?;
        worker.say(&WorkerToServer::ProgressFile { name: &name }).await?;
        assert!(worker.is_tally_read().await?);
        let file = std::fs::OpenOptions::new().write(true).open(&path)?;
        std::fs::remove_file(&path)?;

        let mut socket = Client::shake_hands(server.websocket, "/", &[]).await?;
        hear_three(&mut socket, &mut worker).await?;
        worker.say(&WorkerToServer::Progress { taken: 2, done: 2 }).await?;
        file.write_all_at(&u64::to_ne_bytes(counted), 0)?;
        drop(worker);
        if !left.is_empty() {
            inherits(&mut server, left).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_that_asks_whether_anybody_is_there_is_answered() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut worker = BridgeWorker::connect(server.register[0]).await?;
    worker.say(&WorkerToServer::Join { name: "w", moves: false }).await?;
    for _ in 0..3 {
        worker.say(&WorkerToServer::Ping).await?;
        worker.pong().await?;
    }
    // A ping is also answered while the worker leaves.
    worker.say(&WorkerToServer::Ping).await?;
    worker.say(&WorkerToServer::Leave).await?;
    worker.pong().await
}

#[tokio::test]
async fn only_a_file_of_numbers_in_memory_is_a_tally() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut worker = BridgeWorker::connect(server.register[0]).await?;
    worker.say(&WorkerToServer::Join { name: "w", moves: false }).await?;
    let link = progress_file::path(&progress_file::name([1; 16])).unwrap();
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink("/etc/passwd", &link)?;
    let names = [
        progress_file::name([1; 16]),
        progress_file::name([2; 16]),
        "/etc/passwd".to_owned(),
        "../../etc/passwd".to_owned(),
    ];
    for name in names {
        worker.say(&WorkerToServer::ProgressFile { name: &name }).await?;
        assert!(!worker.is_tally_read().await?, "{name}");
    }
    std::fs::remove_file(&link)?;
    Ok(())
}

/// The worker comes back while its old connections are still open but carry nothing any more, as after a cable was pulled
/// out.
#[tokio::test]
async fn a_worker_that_comes_back_gets_what_it_had_not_begun() -> anyhow::Result<()> {
    const MESSAGES: usize = 200;
    let mut server = Server::start(&["--shards", "1", "--worker-buffer-bytes", "100000000"]).await?;
    let padding = "x".repeat(60 << 10);
    let (mut socket, mut stuck) = (None, Vec::new());
    for turn in 0..3 {
        let mut worker = BridgeWorker::connect(server.register[0]).await?;
        worker.say(&WorkerToServer::Join { name: "w", moves: false }).await?;
        server.logs("a worker joined").await?;
        if turn > 0 {
            server.logs("a worker has gone").await?;
        }
        if socket.is_none() {
            socket = Some(Client::shake_hands(server.websocket, "/", &[]).await?);
        }
        let socket = socket.as_mut().context("a client")?;
        // This is more than the kernel buffers, so that some events wait in the server.
        for number in turn * MESSAGES..(turn + 1) * MESSAGES {
            soon("sending", socket.send(Message::text(format!("{number} {padding}")))).await??;
        }
        let message = async |worker: &mut BridgeWorker| loop {
            let (number, kind, body) = worker.told().await?;
            if kind == EventKind::Message {
                let text = String::from_utf8_lossy(&body).into_owned();
                return anyhow::Ok((number, text.split(' ').next().unwrap_or_default().parse::<usize>()?));
            }
        };
        // Each worker begins one event, which no later worker gets again.
        let (taken, first) = message(&mut worker).await?;
        assert_eq!(first, turn);
        if turn < 2 {
            worker.say(&WorkerToServer::Progress { taken, done: taken - 1 }).await?;
            stuck.push(worker);
            continue;
        }
        worker.say(&WorkerToServer::Progress { taken, done: taken }).await?;
        for expected in first + 1..3 * MESSAGES {
            let (taken, number) = message(&mut worker).await?;
            assert_eq!(number, expected);
            worker.say(&WorkerToServer::Progress { taken, done: taken }).await?;
        }
    }
    Ok(())
}
