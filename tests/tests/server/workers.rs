//! The choice of the worker that gets an event, and the fate of events whose worker goes or is slow.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use gateway_tests::{
    BridgeWorker, Client, Operator, PhpPeer, Server, WorkerPeer, connect_from, eventually, soon,
};
use gateway_wire::bridge::{AnswerValue as Count, WorkerToServer};
use gateway_wire::gatewayworker::{Command, EventCommand};
use gateway_wire::php_serialize::{PhpValue, Writer};
use nix::sys::signal::Signal;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

type Socket = WebSocketStream<TcpStream>;

async fn join(server: &mut Server, name: &str) -> anyhow::Result<WorkerPeer> {
    let worker = WorkerPeer::connect(server.register[0], name).await?;
    server.logs("a worker joined").await?;
    Ok(worker)
}

async fn connect(server: &Server) -> anyhow::Result<Socket> {
    Client::shake_hands(server.websocket, "/", &[]).await
}

async fn say(socket: &mut Socket, text: &str) -> anyhow::Result<()> {
    Ok(soon("sending", socket.send(Message::text(text))).await??)
}

/// Waits until `clients` clients are online.
async fn online(server: &Server, clients: i64) -> anyhow::Result<()> {
    let mut php = PhpPeer::connect(server.register[0]).await?;
    eventually("clients online", Count::Int(clients), async || php.count().await).await
}

/// A BusinessWorker takes the session that comes with an event for the newest, so the events right after `onConnect` must
/// already carry what it wrote.
#[tokio::test]
async fn what_on_connect_writes_comes_with_the_handshake_and_the_first_message() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let mut worker = join(&mut server, "w:0").await?;
    let session = "a:1:{s:4:\"name\";s:1:\"n\";}";
    // A busy machine may bring the session back only after the next events were sent, so the test tries again.
    eventually("events with the session", true, async || {
        let mut socket = connect(&server).await?;
        say(&mut socket, "first").await?;
        let came = worker.told().await?;
        assert_eq!((came.kind, came.session.as_str()), (EventCommand::Connect, ""));
        let connection = came.client.connection;
        worker.order(Command::SetSession { connection, session: session.as_bytes() }).await?;
        let next = [worker.told().await?, worker.told().await?];
        assert_eq!(next.each_ref().map(|told| told.client), [came.client; 2]);
        assert_eq!(
            next.each_ref().map(|told| told.kind),
            [EventCommand::WebsocketConnect, EventCommand::Message]
        );
        drop(socket);
        worker.told_of(EventCommand::Close).await?;
        Ok(next.iter().all(|told| told.session == session))
    })
    .await
}

#[tokio::test]
async fn a_client_is_told_of_from_its_coming_to_its_going() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let mut worker = join(&mut server, "w:0").await?;
    let headers = [("cookie", "a=1; b=2"), ("x-forwarded-for", "10.1.2.3")];
    let mut socket = Client::shake_hands(server.websocket, "/chat?room=7", &headers).await?;

    let came = worker.told().await?;
    assert_eq!((came.kind, came.session.as_str(), &came.body[..]), (EventCommand::Connect, "", &b""[..]));
    assert_eq!(came.client.node.to_string(), server.register[0].to_string());
    let handshake = worker.told().await?;
    assert_eq!((handshake.kind, handshake.client), (EventCommand::WebsocketConnect, came.client));
    PhpValue::parse(&handshake.body)?;
    let text = String::from_utf8(handshake.body)?;
    for part in [
        r#"s:3:"get";a:1:{s:4:"room";s:1:"7";}"#,
        r#"s:6:"cookie";a:2:{s:1:"a";s:1:"1";s:1:"b";s:1:"2";}"#,
        r#"s:11:"REQUEST_URI";s:12:"/chat?room=7";"#,
        r#"s:20:"HTTP_X_FORWARDED_FOR";s:8:"10.1.2.3";"#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }

    // The worker's orders take effect, and the following events carry the session that it has set.
    let connection = came.client.connection;
    let mut session = Vec::new();
    Writer::new(&mut session).list([1].into_iter(), |writer, number| writer.int(number));
    worker.order(Command::SetSession { connection, session: &session }).await?;
    worker.order(Command::SendToOne { connection, message: b"hello", raw: false }).await?;
    assert_eq!(soon("hello", socket.next()).await?.unwrap()?, Message::text("hello"));
    for text in ["one", "two", "three"] {
        say(&mut socket, text).await?;
    }
    for text in ["one", "two", "three"] {
        let told = worker.told().await?;
        assert_eq!((told.kind, told.client), (EventCommand::Message, came.client));
        assert_eq!((told.session.as_bytes(), told.body.as_slice()), (&session[..], text.as_bytes()));
    }
    soon("closing", socket.close(None)).await??;
    let gone = worker.told().await?;
    assert_eq!(
        (gone.kind, gone.client, gone.session.as_bytes()),
        (EventCommand::Close, came.client, &session[..])
    );
    Ok(())
}

#[tokio::test]
async fn a_client_that_is_closed_by_anyone_is_told_of_once() -> anyhow::Result<()> {
    let mut server = Server::start(&["--close-timeout", "0.2"]).await?;
    let mut worker = join(&mut server, "w:0").await?;
    for way in 0..5 {
        let mut socket = connect(&server).await?;
        let connection = worker.told_of(EventCommand::Connect).await?.client.connection;
        match way {
            0 => worker.order(Command::Kick { connection, last: Some(b"bye") }).await?,
            1 => worker.order(Command::Destroy { connection }).await?,
            2 => soon("closing", socket.close(None)).await??,
            // The client goes without a close frame.
            3 => drop(socket),
            // The client breaks the protocol by an unmasked frame.
            _ => {
                use tokio::io::AsyncWriteExt as _;
                socket.get_mut().write_all(b"\x81\x01x").await?;
            }
        }
        let gone = worker.told_of(EventCommand::Close).await?;
        assert_eq!(gone.client.connection, connection, "way {way}");
    }
    // Nothing else comes of it: the next event is about the next client.
    let _socket = connect(&server).await?;
    worker.told_of(EventCommand::Connect).await.map(drop)
}

#[tokio::test]
async fn the_worker_with_the_fewest_clients_gets_the_next_and_keeps_it() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let mut workers = [join(&mut server, "w:0").await?, join(&mut server, "w:1").await?];
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(connect(&server).await?);
    }
    let mut homes = std::collections::HashMap::new();
    for (number, worker) in workers.iter_mut().enumerate() {
        for _ in 0..5 {
            homes.insert(worker.told_of(EventCommand::Connect).await?.client, number);
        }
    }
    // A worker that joins last has the fewest clients, so it gets the next ones.
    let mut last = join(&mut server, "w:2").await?;
    for _ in 0..5 {
        sockets.push(connect(&server).await?);
        last.told_of(EventCommand::Connect).await?;
    }
    for round in 0..3 {
        for socket in &mut sockets {
            say(socket, &round.to_string()).await?;
        }
        for (number, worker) in workers.iter_mut().enumerate() {
            for _ in 0..5 {
                let (client, text) = worker.message().await?;
                assert_eq!((homes[&client], text), (number, round.to_string()));
            }
        }
        for _ in 0..5 {
            assert_eq!(last.message().await?.1, round.to_string());
        }
    }
    Ok(())
}

#[tokio::test]
async fn by_the_setting_all_clients_of_an_address_have_the_same_worker() -> anyhow::Result<()> {
    const CLIENTS: u64 = 8;
    let flags = ["--router", "client-address", "--shards", "2", "--operations", "127.0.0.1:0"];
    let mut server = Server::start(&flags).await?;
    let operator = Operator::of(&server)?;
    // The number of clients of each worker. The default router would give clients to both workers in turn.
    let counts = async || {
        let workers = operator.json("/status").await?["workers"].take();
        let counts = workers.as_array().into_iter().flatten().filter_map(|worker| worker["clients"].as_u64());
        anyhow::Ok(counts.collect::<Vec<_>>())
    };
    let _workers = [join(&mut server, "w:0").await?, join(&mut server, "w:1").await?];
    let connect = async |source: &str| {
        let tcp = connect_from(source, server.websocket).await?;
        anyhow::Ok(soon("a handshake", client_async("ws://localhost/", tcp)).await??.0)
    };
    let mut sockets = Vec::new();
    for (came, source) in (1..).zip(["127.0.0.1", "127.0.0.2"]) {
        for _ in 0..CLIENTS {
            sockets.push(connect(source).await?);
        }
        eventually("clients of workers", CLIENTS * came, async || Ok(counts().await?.iter().sum())).await?;
        let counts = counts().await?;
        assert_eq!(counts.len(), 2);
        assert!(counts.iter().all(|clients| clients % CLIENTS == 0), "{counts:?} after {source}");
    }
    // The address decides which worker it is: of 50 more addresses, some belong to the one and some to the other.
    for last in 3..53 {
        sockets.push(connect(&format!("127.0.0.{last}")).await?);
    }
    eventually("clients of workers", 2 * CLIENTS + 50, async || Ok(counts().await?.iter().sum())).await?;
    let counts = counts().await?;
    assert!(counts.iter().all(|clients| *clients > 0), "{counts:?}");
    Ok(())
}

#[tokio::test]
async fn clients_of_a_worker_that_went_go_on_with_another() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let mut first = join(&mut server, "w:0").await?;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(connect(&server).await?);
        first.told_of(EventCommand::Connect).await?;
    }
    let mut second = join(&mut server, "w:1").await?;
    drop(first);
    server.logs("a worker has gone").await?;
    for socket in &mut sockets {
        say(socket, "still there").await?;
    }
    for _ in 0..10 {
        assert_eq!(second.message().await?.1, "still there");
    }
    drop(sockets);
    for _ in 0..10 {
        second.told_of(EventCommand::Close).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_of_the_same_name_takes_the_place_of_the_old_one() -> anyhow::Result<()> {
    let mut server = Server::start(&[]).await?;
    let mut old = join(&mut server, "w:0").await?;
    let mut socket = connect(&server).await?;
    old.told_of(EventCommand::Connect).await?;
    old.told_of(EventCommand::WebsocketConnect).await?;
    let mut new = join(&mut server, "w:0").await?;
    assert!(old.told().await.is_err());
    say(&mut socket, "to the new one").await?;
    assert_eq!(new.message().await?.1, "to the new one");
    Ok(())
}

#[tokio::test]
async fn what_happens_while_workers_restart_is_told_to_the_next() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let mut worker = join(&mut server, "w:0").await?;
    let mut stays = connect(&server).await?;
    let stays_id = worker.told_of(EventCommand::Connect).await?.client;
    worker.told_of(EventCommand::WebsocketConnect).await?;
    let mut leaves = connect(&server).await?;
    let leaves_id = worker.told_of(EventCommand::Connect).await?.client;
    worker.told_of(EventCommand::WebsocketConnect).await?;
    drop(worker);
    server.logs("a worker has gone").await?;

    say(&mut leaves, "last words").await?;
    soon("closing", leaves.close(None)).await??;
    say(&mut stays, "anybody there?").await?;
    // While no worker is there, the server itself greets new clients.
    let mut comes = Client::connect(server.websocket).await?;
    online(&server, 2).await?;

    let mut next = join(&mut server, "w:0").await?;
    let mut of = std::collections::HashMap::<_, Vec<_>>::new();
    for _ in 0..3 {
        let told = next.told().await?;
        of.entry(told.client).or_default().push((told.kind, told.body));
    }
    assert_eq!(of[&stays_id], [(EventCommand::Message, b"anybody there?".to_vec())]);
    assert_eq!(
        of[&leaves_id],
        [(EventCommand::Message, b"last words".to_vec()), (EventCommand::Close, vec![])]
    );

    // The worker gets the connect event of a client before the first message that it gets from that client.
    comes.send(Message::text("I am new")).await?;
    assert_eq!(next.told_of(EventCommand::Connect).await?.client, comes.id);
    assert_eq!(next.message().await?, (comes.id, "I am new".to_owned()));
    comes.leave().await?;
    assert_eq!(next.told_of(EventCommand::Close).await?.client.node.port(), server.register[0].port());
    Ok(())
}

#[tokio::test]
async fn a_slow_worker_slows_its_clients_and_loses_nothing() -> anyhow::Result<()> {
    const MESSAGES: usize = 2000;
    let mut server = Server::start(&["--shards", "2", "--worker-buffer-bytes", "65536"]).await?;
    let mut slow = join(&mut server, "w:0").await?;
    let mut socket = connect(&server).await?;
    slow.told_of(EventCommand::Connect).await?;
    let before = server.memory()?;

    let sender = tokio::spawn(async move {
        let padding = "x".repeat(32 << 10);
        for number in 0..MESSAGES {
            socket.send(Message::text(format!("{number} {padding}"))).await?;
        }
        anyhow::Ok(socket)
    });
    server.logs("stopped reading from a client").await?;
    // The server still serves others.
    online(&server, 1).await?;
    let growth = server.memory()?.saturating_sub(before);
    assert!(growth < 32 << 20, "{growth} bytes wait for a worker");

    slow.told_of(EventCommand::WebsocketConnect).await?;
    slow.numbered_messages(0..MESSAGES).await?;
    let mut socket = soon("the sender", sender).await???;
    soon("closing", socket.close(None)).await??;
    slow.told_of(EventCommand::Close).await.map(drop)
}

#[tokio::test]
async fn what_a_worker_has_not_got_goes_to_the_next_in_order() -> anyhow::Result<()> {
    const MESSAGES: usize = 1000;
    let mut server = Server::start(&["--shards", "2"]).await?;
    let mut stuck = join(&mut server, "w:0").await?;
    let mut socket = connect(&server).await?;
    stuck.told_of(EventCommand::Connect).await?;
    // The worker reads no further, so most of this waits in the server, which must keep all of it.
    let padding = "x".repeat(9 << 10);
    for number in 0..MESSAGES {
        say(&mut socket, &format!("{number} {padding}")).await?;
    }
    soon("closing", socket.close(None)).await??;
    online(&server, 0).await?;
    let mut next = join(&mut server, "w:1").await?;
    drop(stuck);
    server.logs("a worker has gone").await?;
    let (client, first) = next.message().await?;
    let first: usize = first.split(' ').next().unwrap().parse()?;
    assert!(first > 0 && first < MESSAGES, "begins with {first}");
    next.numbered_messages(first + 1..MESSAGES).await?;
    assert_eq!(next.told_of(EventCommand::Close).await?.client, client);
    Ok(())
}

/// The worker comes back while its old connections are still open but carry nothing any more, as after a cable was pulled
/// out.
#[tokio::test]
async fn a_worker_that_comes_back_gets_what_its_old_connections_have_not_got() -> anyhow::Result<()> {
    const MESSAGES: usize = 3000;
    let mut server = Server::start(&["--shards", "2", "--worker-buffer-bytes", "100000000"]).await?;
    let mut first = join(&mut server, "w:0").await?;
    let mut socket = connect(&server).await?;
    first.told_of(EventCommand::Connect).await?;
    // This is more than the kernel buffers for all three connections.
    let padding = "x".repeat(9 << 10);
    let mut send = async |numbers: std::ops::Range<usize>| {
        for number in numbers {
            say(&mut socket, &format!("{number} {padding}")).await?;
        }
        anyhow::Ok(())
    };
    send(0..MESSAGES / 2).await?;
    let mut second = join(&mut server, "w:0").await?;
    server.logs("a worker has gone").await?;
    send(MESSAGES / 2..MESSAGES).await?;
    let mut third = join(&mut server, "w:0").await?;
    server.logs("a worker has gone").await?;

    let mut numbers = Vec::new();
    for worker in [&mut first, &mut second, &mut third] {
        while numbers.len() < MESSAGES
            && let Ok((_, text)) = worker.message().await
        {
            numbers.push(text.split(' ').next().unwrap().parse::<usize>()?);
        }
    }
    assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn the_setting_says_who_handles_events() -> anyhow::Result<()> {
    let mut server = Server::start(&["--events", "workers"]).await?;
    let mut early = connect(&server).await?;
    match soon("a close", early.next()).await?.unwrap()? {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1013),
        other => panic!("{other:?} without a worker"),
    }
    let mut worker = join(&mut server, "w:0").await?;
    let mut socket = connect(&server).await?;
    worker.told_of(EventCommand::Connect).await?;
    worker.told_of(EventCommand::WebsocketConnect).await?;
    // No one else answers clients while the worker restarts, either.
    drop(worker);
    server.logs("a worker has gone").await?;
    let _waits = connect(&server).await?;
    say(&mut socket, "hello").await?;
    online(&server, 2).await?;
    let mut next = join(&mut server, "w:0").await?;
    let mut kinds = Vec::new();
    for _ in 0..3 {
        kinds.push(next.told().await?.kind as u8);
    }
    kinds.sort_unstable();
    assert_eq!(kinds, [1, 3, 205]);

    let mut server = Server::start(&["--events", "builtin"]).await?;
    let mut idle = join(&mut server, "w:0").await?;
    let mut client = Client::connect(server.websocket).await?;
    client.send(Message::text("hello")).await?;
    let connection = client.id.connection;
    idle.order(Command::SendToOne { connection, message: b"orders are obeyed", raw: false }).await?;
    assert_eq!(client.text().await?, "orders are obeyed");
    client.leave().await?;
    server.signal(Signal::SIGTERM)?;
    assert!(idle.told().await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_stop_tells_workers_that_their_clients_have_gone() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let mut worker = join(&mut server, "w:0").await?;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(connect(&server).await?);
        worker.told_of(EventCommand::Connect).await?;
    }
    server.signal(Signal::SIGTERM)?;
    for socket in &mut sockets {
        soon("a close", async { while let Some(Ok(_)) = socket.next().await {} }).await?;
    }
    for _ in 0..10 {
        worker.told_of(EventCommand::Close).await?;
    }
    assert!(server.exit().await?.success());
    Ok(())
}

/// The events that the last worker left are kept for half a minute, but its connection's place is free at once.
#[tokio::test]
async fn a_worker_that_has_gone_takes_no_place_of_the_register_port() -> anyhow::Result<()> {
    let mut server = Server::start(&["--max-register-connections", "2"]).await?;
    let again_and_again = async {
        for _ in 0..2 {
            let mut worker = BridgeWorker::connect(server.register[0]).await?;
            worker.say(&WorkerToServer::Join { name: "chat:0", moves: false }).await?;
            server.logs("a worker joined").await?;
            drop(worker);
            server.logs("a worker has gone").await?;
            drop(join(&mut server, "chat:0").await?);
            server.logs("a worker has gone").await?;
        }
        PhpPeer::connect(server.register[0]).await?.count().await
    };
    // If the place were kept for the half minute, the third worker would wait for it longer than these 20 seconds.
    tokio::time::timeout(Duration::from_secs(20), again_and_again).await??;
    Ok(())
}
