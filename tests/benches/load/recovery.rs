//! Clients that are cut once each while numbered messages go on: how many have every number, once and in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use gateway_tests::{CuttingProxy, Fate, PATIENCE, ProcessGroup, ResumingPage, Rng};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use crate::contender::{Contender, node};
use crate::measure::Figures;
use crate::publisher::Target;
use crate::results::thousands;
use crate::running::Running;

/// The clients, and the messages to each.
#[derive(Clone, Copy)]
pub(crate) struct Recovery {
    pub(crate) clients: usize,
    pub(crate) messages: usize,
}

/// The pause between two messages.
const PAUSE: Duration = Duration::from_millis(25);
/// The longest time after which a client connects again, in milliseconds; socket.io's clients have the same.
const AWAY: usize = 200;
/// The time in which what is missed may come behind the last message.
const LAST: Duration = Duration::from_secs(5);

impl Recovery {
    pub(crate) fn label(self) -> String {
        let clients = thousands(self.clients as f64);
        format!("have all of {} messages, of {clients} clients that were cut meanwhile", self.messages)
    }

    /// Cuts each client's connection once, and gives how many of them have missed nothing.
    pub(crate) async fn run(self, server: &Running) -> anyhow::Result<Figures> {
        let proxy = CuttingProxy::start(server.websocket.address).await?;
        let ends = Arc::new(AtomicUsize::new(0));
        let clients = match server.contender {
            Contender::SocketIo => Clients::Elsewhere(self.socket_io(proxy.address).await?),
            contender => {
                let mut tasks = JoinSet::new();
                for client in 0..self.clients {
                    let ends = Arc::clone(&ends);
                    let mut client = Client {
                        comes_back: contender == Contender::Gateway2,
                        page: ResumingPage::default(),
                        plain: None,
                        address: proxy.address,
                        rng: Rng::new(client as u64),
                        last: 0,
                        is_whole: true,
                    };
                    client.connect().await?;
                    tasks.spawn(async move {
                        // Who gets nothing more within the patience has missed the last message.
                        let _ = tokio::time::timeout(PATIENCE, client.read(self.messages)).await;
                        ends.fetch_add(1, Ordering::Relaxed);
                        client.is_whole && client.last == self.messages
                    });
                }
                Clients::Here(tasks)
            }
        };
        self.publish(server, &proxy).await?;
        let recovered = match clients {
            Clients::Here(mut tasks) => {
                let start = Instant::now();
                while ends.load(Ordering::Relaxed) < self.clients && start.elapsed() < LAST {
                    tokio::time::sleep(PAUSE).await;
                }
                let mut recovered = 0;
                while let Some(whole) = tasks.try_join_next() {
                    recovered += usize::from(whole?);
                }
                recovered
            }
            Clients::Elsewhere(process) => {
                let line = process.line_with("recovered ").await?;
                line.rsplit(' ').next().unwrap_or_default().parse().context("a number of clients")?
            }
        };
        Ok(Figures { value: recovered as f64, ..Figures::default() })
    }

    /// Starts the clients of socket.io, and waits until all are connected.
    async fn socket_io(self, address: SocketAddr) -> anyhow::Result<ProcessGroup> {
        let mut command = node("bench_socket_io_clients.js", "SOCKET_IO_PATH");
        command.args([format!("http://{address}"), self.clients.to_string(), self.messages.to_string()]);
        Ok(ProcessGroup::start(command, "connected all").await?.0)
    }

    /// Publishes the messages, and cuts each connection once meanwhile: between two messages, or within one.
    async fn publish(self, server: &Running, proxy: &CuttingProxy) -> anyhow::Result<()> {
        let mut publisher = server.publisher()?;
        let (mut rng, mut uncut) = (Rng::new(1), proxy.connections());
        anyhow::ensure!(uncut.len() == self.clients, "{} connections to cut", uncut.len());
        // Nobody is cut before the first and behind the last messages.
        let each = self.clients.div_ceil(self.messages * 8 / 10);
        for number in 1..=self.messages {
            publisher.publish(Target::All, number.to_string().as_bytes())?;
            publisher.flush()?;
            publisher.drain()?;
            tokio::time::sleep(PAUSE / 2).await;
            if number > self.messages / 10 {
                for _ in 0..each.min(uncut.len()) {
                    let from = uncut.swap_remove(rng.below(uncut.len()));
                    let fate = match rng.below(2) {
                        0 => Fate::Reset,
                        _ => Fate::AfterDown(rng.below(20)),
                    };
                    proxy.decide(from, fate);
                }
            }
            tokio::time::sleep(PAUSE / 2).await;
        }
        anyhow::ensure!(uncut.is_empty(), "{} clients were not cut", uncut.len());
        Ok(())
    }
}

enum Clients {
    Here(JoinSet<bool>),
    Elsewhere(ProcessGroup),
}

/// A client of our server, with `gateway.2` or a plain websocket.
struct Client {
    comes_back: bool,
    page: ResumingPage,
    plain: Option<gateway_tests::Client>,
    address: SocketAddr,
    rng: Rng,
    last: usize,
    is_whole: bool,
}

impl Client {
    async fn connect(&mut self) -> anyhow::Result<()> {
        if self.comes_back {
            let tcp = TcpStream::connect(self.address).await?;
            return self.page.over(tcp, "/all", &[]).await;
        }
        let tcp = TcpStream::connect(self.address).await?;
        self.plain = Some(gateway_tests::Client::over(tcp).await?);
        Ok(())
    }

    /// Takes messages until the last one has come, and connects again when the connection is lost.
    async fn read(&mut self, last: usize) {
        while self.last < last {
            let message = match (&mut self.page.socket, &mut self.plain) {
                (Some(socket), _) => socket.next().await,
                (None, Some(client)) => client.socket.next().await,
                (None, None) => None,
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    let text = if self.comes_back {
                        self.page.take(&text).await.ok().flatten()
                    } else {
                        Some(text.to_string())
                    };
                    let Some(number) = text.and_then(|text| text.parse().ok()) else { continue };
                    self.is_whole &= number == self.last + 1;
                    self.last = number;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => {
                    (self.page.socket, self.plain) = (None, None);
                    self.page.end.cut();
                    let away = self.rng.below(AWAY) as u64;
                    tokio::time::sleep(Duration::from_millis(away)).await;
                    // A failed attempt is followed by another.
                    let _ = self.connect().await;
                }
            }
        }
    }
}
