//! A stop that closes clients over a span of time, so that they do not all reconnect at once.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use gateway_tests::{Client, PhpPeer, Server, soon};
use gateway_wire::bridge::AnswerValue;
use nix::sys::signal::Signal;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

/// A client's end during the stop: when it was closed, with which code, and how many pushes it got before.
struct Farewell {
    at: Instant,
    code: u16,
    pushes: usize,
}

/// Clients that wait for their close frames; `closes` tells when each of these comes.
struct Crowd {
    closes: mpsc::UnboundedReceiver<Instant>,
    clients: JoinSet<anyhow::Result<Farewell>>,
}

impl Crowd {
    async fn connect(server: &Server, size: usize) -> anyhow::Result<Self> {
        rlimit::increase_nofile_limit(u64::MAX)?;
        let (told, closes) = mpsc::unbounded_channel();
        let mut clients = JoinSet::new();
        for _ in 0..size / 100 {
            for client in try_join_all((0..100).map(|_| Client::connect(server.websocket))).await? {
                clients.spawn(wait_for_close(client, told.clone()));
            }
        }
        Ok(Self { closes, clients })
    }

    async fn next_close(&mut self) -> anyhow::Result<Instant> {
        soon("a close frame", self.closes.recv()).await?.context("a client failed")
    }

    async fn farewells(self) -> anyhow::Result<Vec<Farewell>> {
        let mut farewells = self.clients.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        farewells.sort_by_key(|farewell| farewell.at);
        Ok(farewells)
    }
}

async fn wait_for_close(
    mut client: Client,
    told: mpsc::UnboundedSender<Instant>,
) -> anyhow::Result<Farewell> {
    let mut pushes = 0;
    loop {
        match client.message().await? {
            Message::Close(frame) => {
                let at = Instant::now();
                told.send(at)?;
                client.gone().await?;
                let code = frame.context("a close frame with a code")?.code.into();
                return Ok(Farewell { at, code, pushes });
            }
            _ => pushes += 1,
        }
    }
}

fn number(value: AnswerValue) -> anyhow::Result<usize> {
    let AnswerValue::Int(number) = value else { anyhow::bail!("{value:?} is no count") };
    Ok(number.try_into()?)
}

#[tokio::test]
async fn clients_are_closed_evenly_and_served_until_then() -> anyhow::Result<()> {
    const CLIENTS: usize = 2_000;
    const DRAIN: Duration = Duration::from_secs(2);
    let mut server = Server::start(&["--drain-seconds", "2", "--shards", "2"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut crowd = Crowd::connect(&server, CLIENTS).await?;
    server.signal(Signal::SIGTERM)?;
    let start = crowd.next_close().await?;
    for _ in 0..CLIENTS / 4 {
        crowd.next_close().await?;
    }
    assert!(TcpStream::connect(server.websocket).await.is_err(), "a newcomer");
    // A PHP process that connects during the drain is served like one that was connected before.
    let mut late_php = PhpPeer::connect(server.register[0]).await?;
    let before = number(late_php.count().await?)?;
    php.send_to_all("still here").await?;
    php.acked().await?;
    let after = number(php.count().await?)?;
    assert!(after > 0 && before < CLIENTS, "{before} {after}");

    let farewells = crowd.farewells().await?;
    assert!(server.exit().await?.success());
    assert_eq!(farewells.len(), CLIENTS);
    assert!(farewells.iter().all(|farewell| farewell.code == 1001));
    let pushed = farewells.iter().map(|farewell| farewell.pushes).sum::<usize>();
    assert!((after..=before).contains(&pushed), "{pushed} of {before} to {after} got it");

    let tenth = DRAIN / 10;
    for farewell in &farewells {
        let from = farewell.at;
        let together = farewells.iter().filter(|one| one.at >= from && one.at < from + tenth).count();
        assert!(together < CLIENTS * 3 / 10, "{together} in one tenth of the time");
    }
    let took = farewells[CLIENTS - 1].at - start;
    assert!(took > DRAIN * 8 / 10, "{took:?}");
    Ok(())
}

/// A client that is in its handshake when the server stops gets a close frame with a code; otherwise it would only see its
/// connection break.
#[tokio::test]
async fn who_is_shaking_hands_is_told_too() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "2"]).await?;
    let begun = TcpStream::connect(server.websocket).await?;
    // The connection is accepted before those of the crowd.
    let mut crowd = Crowd::connect(&server, 2_000).await?;
    server.signal(Signal::SIGTERM)?;
    crowd.next_close().await?;
    let request = format!("ws://{}/", server.websocket);
    let (mut late, _) = soon("a handshake", tokio_tungstenite::client_async(request, begun)).await??;
    let Some(Ok(Message::Close(Some(frame)))) = soon("a close frame", late.next()).await? else {
        anyhow::bail!("no close frame")
    };
    assert_eq!(u16::from(frame.code), 1001);
    drop(late);
    crowd.farewells().await?;
    assert!(server.exit().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_second_signal_closes_all_that_are_left() -> anyhow::Result<()> {
    const CLIENTS: usize = 3_000;
    // Without the second signal, closing this many clients takes three seconds: the server closes a thousand a second if
    // `--drain-seconds` does not ask for more. A busy machine may take as long with the signal, but hardly every time.
    const ATTEMPTS: usize = 10;
    let mut times = Vec::new();
    let mut signals = [Signal::SIGTERM, Signal::SIGINT].into_iter().peekable();
    while let Some(&again) = signals.peek() {
        let mut server = Server::start(&["--drain-seconds", "60", "--shards", "2"]).await?;
        let mut crowd = Crowd::connect(&server, CLIENTS).await?;
        server.signal(Signal::SIGTERM)?;
        let start = crowd.next_close().await?;
        server.signal(again)?;
        let farewells = crowd.farewells().await?;
        assert!(farewells.iter().all(|farewell| farewell.code == 1001));
        let took = farewells[CLIENTS - 1].at - start;
        server.logs("again").await?;
        assert!(server.exit().await?.success());
        if took < Duration::from_secs(2) {
            signals.next();
        } else {
            times.push(took);
            assert!(times.len() < ATTEMPTS, "{times:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_third_signal_waits_for_nobody() -> anyhow::Result<()> {
    let mut server = Server::start(&["--stop-timeout", "3600", "--close-timeout", "3600"]).await?;
    // This client does not answer the close frame.
    let stalled = Client::connect(server.websocket).await?;
    server.signal(Signal::SIGTERM)?;
    server.logs("closing the clients").await?;
    server.signal(Signal::SIGTERM)?;
    server.logs("SIGTERM again").await?;
    server.signal(Signal::SIGINT)?;
    assert!(server.exit().await?.success());
    drop(stalled);
    Ok(())
}

#[tokio::test]
async fn few_clients_or_none_are_closed_at_once() -> anyhow::Result<()> {
    for clients in [0, 20] {
        let mut server = Server::start(&["--drain-seconds", "3600", "--stop-timeout", "3600"]).await?;
        let mut tabs = Vec::new();
        for _ in 0..clients {
            tabs.push(Client::connect(server.websocket).await?);
        }
        server.signal(Signal::SIGTERM)?;
        for tab in &mut tabs {
            assert_eq!(tab.closed().await?, (1001, "server is stopping".to_owned()));
            tab.gone().await?;
        }
        assert!(server.exit().await?.success());
    }
    Ok(())
}
