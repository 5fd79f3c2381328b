//! Pages whose connections are cut at random, over and over, while numbered messages come for them: each message is there once and in
//! order, or the page is told of a gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway_tests::{Operator, PhpPeer, ResumingPage, Rng, Server, eventually};
use gateway_wire::bridge::Order;
use gateway_wire::client_protocol::Opened;
use serde_bytes::Bytes;
use tokio::net::TcpStream;

/// The number of pages.
const PAGES: usize = 20;

/// The number of messages to each page. `RESUME_MESSAGES` asks for more, as the run that the documents quote does.
fn messages() -> usize {
    std::env::var("RESUME_MESSAGES").ok().and_then(|number| number.parse().ok()).unwrap_or(1000)
}

/// A page, and the number of the last message that it has taken.
struct Reader {
    page: ResumingPage,
    rng: Rng,
    server: std::net::SocketAddr,
    last: usize,
    cuts: Arc<AtomicUsize>,
}

impl Reader {
    /// Takes messages until the last one has come, and cuts the connection again and again.
    async fn run(mut self, last: usize) -> anyhow::Result<ResumingPage> {
        while self.last < last {
            for _ in 0..self.rng.below(100) {
                let text = self.page.text().await?;
                let number: usize = text.rsplit(' ').next().unwrap_or_default().parse()?;
                anyhow::ensure!(number == self.last + 1, "{number} behind {}", self.last);
                self.last = number;
                if number == last {
                    return Ok(self.page);
                }
            }
            self.cut().await?;
            self.page.connect(self.server).await?;
            anyhow::ensure!(
                matches!(self.page.outcome(), Opened::Recovered { .. }),
                "{:?}",
                self.page.outcome()
            );
        }
        Ok(self.page)
    }

    async fn cut(&mut self) -> anyhow::Result<()> {
        self.cuts.fetch_add(1, Ordering::Relaxed);
        match self.rng.below(5) {
            0 => self.page.reset()?,
            // The server hears nothing of this end, and believes in the connection until the page comes back.
            1 => std::mem::forget(self.page.socket.take()),
            2 => drop(self.page.socket.take()),
            3 => self.page.close(4900).await?,
            // The next connection is cut before its first message is read.
            _ => {
                self.page.reset()?;
                self.page.connect(self.server).await?;
                self.page.reset()?;
            }
        }
        self.page.end.cut();
        tokio::time::sleep(Duration::from_millis(self.rng.below(10) as u64)).await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_over_random_cuts() -> anyhow::Result<()> {
    let messages = messages();
    let flags = ["--shards", "2", "--resume-messages", "20000", "--operations", "127.0.0.1:0"];
    let server = Server::start(&flags).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut ids = Vec::new();
    let mut tasks = Vec::new();
    let cuts = Arc::new(AtomicUsize::new(0));
    for number in 0..PAGES {
        let page = ResumingPage::<TcpStream>::connected(server.websocket).await?;
        ids.push(page.id()?);
        php.bind(page.id()?, &format!("uid {number}")).await?;
        php.order(Order::JoinGroup { client: page.id()?, group: Bytes::new(b"all") }).await?;
        let rng = Rng::new(number as u64);
        let reader = Reader { page, rng, server: server.websocket, last: 0, cuts: Arc::clone(&cuts) };
        tasks.push(tokio::spawn(reader.run(messages)));
    }
    php.acked().await?;
    let mut rng = Rng::new(77);
    for number in 1..=messages {
        // Every page gets every number once, in one of several ways.
        let text = match number % 7 {
            0 => format!("gateway:seen {number}"),
            1 => format!("{} {number}", "long ".repeat(rng.below(1000))),
            _ => format!("message {number}"),
        };
        let message = Bytes::new(text.as_bytes());
        match rng.below(3) {
            0 => php.send_to_all(&text).await?,
            1 => {
                let (groups, except) = ([Bytes::new(b"all")].into(), vec![]);
                php.order(Order::SendToGroups { groups, except, message, raw: false }).await?;
            }
            _ => {
                for client in &ids {
                    php.order(Order::SendToClient { client: *client, message, raw: false }).await?;
                }
            }
        }
        if number % 10 == 5 {
            php.acked().await?;
            // What is pushed is spread over the cuts.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    php.acked().await?;
    let mut pages = Vec::new();
    for task in tasks {
        pages.push(task.await??);
    }
    let cuts = cuts.load(Ordering::Relaxed);
    println!("{} messages over {cuts} cuts: each once and in order", PAGES * messages);
    anyhow::ensure!(cuts > PAGES * messages / 200, "{cuts} cuts");
    for page in &mut pages {
        page.close(1000).await?;
    }
    let operator = Operator::of(&server)?;
    eventually("bytes that are kept", 0.0, async || operator.metric("gateway_resume_bytes").await).await?;
    eventually("clients", serde_json::json!(0), async || {
        Ok(operator.json("/status").await?["clients"].clone())
    })
    .await
}
