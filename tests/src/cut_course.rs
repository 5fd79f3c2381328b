//! A course of numbered messages to many pages, and back, over connections that are cut again and again: each number is there once and
//! in order, or the page was told of one gap.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use gateway_wire::ClientId;
use gateway_wire::bridge::Order;
use gateway_wire::gatewayworker::EventCommand;
use serde_bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::numbered_page::{BYE, Carrier, END, NumberedPage};
use crate::{
    CuttingProxy, Operator, PhpPeer, ResumingPage, Rng, Server, TestCertificate, WorkerPeer, deflated,
    eventually,
};

/// The way of the pages to the server.
pub struct Road {
    /// What they connect to.
    pub proxy: CuttingProxy,
    /// The certificate of what stands behind the proxy, if that speaks TLS.
    pub tls: Option<TestCertificate>,
    /// Whether messages are compressed.
    pub deflates: bool,
}

/// What a course does.
pub struct CutCourse<'a> {
    pub server: &'a mut Server,
    pub road: Road,
    pub pages: usize,
    /// The number of messages to each page.
    pub messages: usize,
    /// Whether PHP closes clients meanwhile, whose pages go on as new clients.
    pub closes: bool,
}

/// The number of messages to each page: this one, or what `RESUME_MESSAGES` asks for, as the runs do that documents quote.
pub fn course_messages(usual: usize) -> usize {
    variable("RESUME_MESSAGES").unwrap_or(usual)
}

/// A number from an environment variable.
fn variable(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

/// The settings of a server for a course.
pub const COURSE_FLAGS: [&str; 8] =
    ["--shards", "2", "--resume-messages", "20000", "--operations", "127.0.0.1:0", "--events", "workers"];

/// The most messages by which PHP may be ahead of a page, of the 20,000 that are kept for it.
const AHEAD: usize = 5000;
/// The number of messages between two disturbances of all pages together.
const CALM: usize = 100;
/// PHP closes one client for so many messages.
const MESSAGES_A_CLOSE: usize = 25;

/// What PHP knows of a client of a page.
struct Known {
    id: ClientId,
    /// The first number that went to its uid and group.
    first: usize,
    /// The last number before it was closed, if it was.
    last: Option<usize>,
}

/// What the worker was told of a client.
#[derive(Default)]
struct Told {
    connects: usize,
    closes: usize,
    numbers: Vec<usize>,
}

impl Road {
    /// A road without TLS and compression.
    pub fn plain(proxy: CuttingProxy) -> Self {
        Self { proxy, tls: None, deflates: false }
    }

    /// Gives the connection as the page speaks websocket over it.
    pub(crate) async fn carry(&self, tcp: TcpStream) -> anyhow::Result<Box<dyn Carrier>> {
        Ok(match (&self.tls, self.deflates) {
            (None, false) => Box::new(tcp),
            (None, true) => Box::new(deflated(tcp)),
            (Some(tls), false) => Box::new(tls.over(tcp).await?),
            (Some(tls), true) => Box::new(deflated(tls.over(tcp).await?)),
        })
    }

    pub(crate) fn headers(&self) -> &'static [(&'static str, &'static str)] {
        if self.deflates { &[deflated::OFFER] } else { &[] }
    }
}

impl CutCourse<'_> {
    /// Runs the course, and calls `disturb` from time to time, which may interrupt everybody's way to the server for a moment.
    /// Gives the number of cuts of single connections.
    pub async fn run(
        self,
        mut disturb: impl AsyncFnMut(&Server, &Road, &mut Rng) -> anyhow::Result<()>,
    ) -> anyhow::Result<usize> {
        let mut php = PhpPeer::connect(self.server.register[0]).await?;
        let worker = WorkerPeer::connect(self.server.register[0], "worker:0").await?;
        self.server.logs("a worker joined").await?;
        let worker = tokio::spawn(listen(worker, self.pages));
        // The cuts of a run are those of its seed, but where they hit is a matter of time.
        let seed = variable("RESUME_SEED").unwrap_or(0);
        let (road, cuts) = (Arc::new(self.road), Arc::new(AtomicUsize::new(0)));
        // The channel needs no bound: a page is born anew by a handshake alone, and all births are taken before each number.
        let (born, mut births) = mpsc::unbounded_channel();
        let (mut tasks, mut progress) = (JoinSet::new(), Vec::new());
        for number in 0..self.pages {
            let (say, hear) = watch::channel(None);
            progress.push(hear);
            let page = NumberedPage {
                number,
                road: Arc::clone(&road),
                rng: Rng::new((seed * self.pages + number) as u64),
                page: ResumingPage::default(),
                lives: Vec::new(),
                born: born.clone(),
                progress: say,
                cuts: Arc::clone(&cuts),
                sent: 0,
                unconfirmed: BTreeSet::new(),
                from: None,
            };
            tasks.spawn(page.run(self.messages));
        }
        drop(born);

        let mut rng = Rng::new(!seed as u64);
        let mut known: Vec<Vec<Known>> = (0..self.pages).map(|_| Vec::new()).collect();
        // Whether all clients get a number, or those with a uid alone.
        let mut is_for_all = vec![true];
        for number in 1..=self.messages {
            // All pages are there for the last number.
            while let Some((page, id)) = match births.try_recv() {
                Ok(birth) => Some(birth),
                Err(_) if number == self.messages && !known.iter().all(|lives| is_bound(lives)) => {
                    tokio::select! {
                        birth = births.recv() => birth,
                        error = failure(&mut tasks) => return Err(error),
                    }
                }
                Err(_) => None,
            } {
                php.bind(id, &format!("uid {page}")).await?;
                php.order(Order::JoinGroup { client: id, group: Bytes::new(b"all") }).await?;
                known[page].push(Known { id, first: number, last: None });
            }
            let to_all = number == self.messages || rng.below(3) == 0;
            is_for_all.push(to_all);
            let text = match number % 7 {
                0 => format!("gateway:seen {number}"),
                1 => format!("{} {number}", "long ".repeat(rng.below(1000))),
                _ => format!("message {number}"),
            };
            let message = Bytes::new(text.as_bytes());
            let bound = || known.iter().enumerate().filter(|(_, lives)| is_bound(lives));
            match rng.below(3) {
                _ if to_all => php.send_to_all(&text).await?,
                0 => {
                    let (groups, except) = ([Bytes::new(b"all")].into(), vec![]);
                    php.order(Order::SendToGroups { groups, except, message, raw: false }).await?;
                }
                1 => {
                    let uids: Vec<_> = bound().map(|(page, _)| format!("uid {page}")).collect();
                    let uids = uids.iter().map(|uid| Bytes::new(uid.as_bytes())).collect();
                    php.order(Order::SendToUids { uids, message, raw: false }).await?;
                }
                _ => {
                    for client in bound().filter_map(|(_, lives)| Some(lives.last()?.id)) {
                        php.order(Order::SendToClient { client, message, raw: false }).await?;
                    }
                }
            }
            if self.closes && number % MESSAGES_A_CLOSE == 0 && number < self.messages {
                let page = rng.below(self.pages);
                if let Some(life) = known[page].last_mut().filter(|life| life.last.is_none()) {
                    life.last = Some(number);
                    let client = life.id;
                    php.order(match rng.below(3) {
                        0 => Order::Close { client, last: None },
                        1 => Order::Close { client, last: Some(Bytes::new(BYE.as_bytes())) },
                        _ => Order::Destroy { client },
                    })
                    .await?;
                }
            }
            if number % 10 == 5 {
                php.acked().await?;
                // What is pushed is spread over the cuts.
                tokio::time::sleep(Duration::from_millis(2)).await;
                for page in &mut progress {
                    let is_near = |taken: &Option<usize>| taken.is_none_or(|taken| taken + AHEAD > number);
                    tokio::select! {
                        biased;
                        near = page.wait_for(is_near) => if near.is_err() {
                            return Err(failure(&mut tasks).await);
                        },
                        error = failure(&mut tasks) => return Err(error),
                    }
                }
            }
            if number % CALM == 50 {
                disturb(self.server, &road, &mut rng).await?;
            }
        }
        php.acked().await?;
        let mut pages = Vec::new();
        while let Some(page) = tasks.join_next().await {
            pages.push(page??);
        }
        pages.sort_by_key(|page: &NumberedPage| page.number);
        let told = worker.await??;
        for (page, known) in pages.iter().zip(&known) {
            check_page(page, known, &is_for_all).with_context(|| format!("page {}", page.number))?;
            check_worker(page, &told).with_context(|| format!("what page {} has sent", page.number))?;
        }
        for page in &mut pages {
            page.page.close(1000).await?;
        }
        // A connection that was cut before its init is a client that no page knows.
        for client in php.clients().await? {
            php.order(Order::Destroy { client }).await?;
        }
        let operator = Operator::of(self.server)?;
        eventually("bytes that are kept", 0.0, async || operator.metric("gateway_resume_bytes").await)
            .await?;
        eventually("clients", serde_json::json!(0), async || {
            Ok(operator.json("/status").await?["clients"].clone())
        })
        .await?;
        let (cuts, lives) = (cuts.load(Ordering::Relaxed), known.iter().map(Vec::len).sum::<usize>());
        println!(
            "{} messages over {cuts} cuts to {} pages with {lives} client ids: each once and in order, or behind a gap",
            self.pages * self.messages,
            self.pages
        );
        ensure!(cuts > self.pages * self.messages / 200, "{cuts} cuts");
        Ok(cuts)
    }
}

/// Waits for a page that ends before its last message, and says why.
async fn failure(pages: &mut JoinSet<anyhow::Result<NumberedPage>>) -> anyhow::Error {
    match pages.join_next().await {
        Some(Ok(Ok(page))) => anyhow::anyhow!("page {} has ended before its last message", page.number),
        Some(Ok(Err(error))) => error,
        Some(Err(error)) => error.into(),
        None => anyhow::anyhow!("no page is left"),
    }
}

/// Whether the newest client of a page has a uid and is not closed.
fn is_bound(lives: &[Known]) -> bool {
    lives.last().is_some_and(|life| life.last.is_none())
}

/// Each client of the page has taken everything that was for it, from its first message on, up to the end or to the gap.
fn check_page(page: &NumberedPage, known: &[Known], is_for_all: &[bool]) -> anyhow::Result<()> {
    let ids: Vec<_> = page.lives.iter().map(|life| life.id).collect();
    ensure!(
        ids == known.iter().map(|life| life.id).collect::<Vec<_>>(),
        "it was other clients than PHP knows"
    );
    for (life, known) in page.lives.iter().zip(known) {
        let (Some(&begin), Some(&end)) = (life.taken.first(), life.taken.last()) else {
            ensure!(known.last.is_some(), "a client that nobody has closed has got nothing");
            let was_for_it = known.last.is_some_and(|last| known.first <= last);
            ensure!(!life.read_the_close || !was_for_it, "the close came before all messages");
            continue;
        };
        // It got a uid some time after it was there, and before that only what was for all.
        ensure!(begin <= known.first || end < known.first, "{begin} is first, and not {}", known.first);
        let is_for_it = |number: &usize| is_for_all[*number] || *number >= known.first;
        let expected: Vec<_> = (begin..=end).filter(is_for_it).collect();
        if life.taken != expected {
            let at = life.taken.iter().zip(&expected).position(|(taken, expected)| taken != expected);
            let at = at.unwrap_or(expected.len().min(life.taken.len()));
            let around = |numbers: &[usize]| {
                numbers[at.saturating_sub(2)..].iter().take(5).copied().collect::<Vec<_>>()
            };
            anyhow::bail!("{:?} instead of {:?}", around(&life.taken), around(&expected));
        }
        match known.last {
            Some(last) if life.read_the_close => {
                let last = (begin..=last).rfind(is_for_it);
                ensure!(Some(end) == last, "the close came behind {end} instead of {last:?}");
            }
            Some(last) => ensure!(end <= last, "{end} came behind the close"),
            None => ensure!(end + 1 == is_for_all.len(), "{end} is the last"),
        }
    }
    Ok(())
}

/// The worker was told of each message of the page once and in order, except for those of which the page knows that they may be
/// missing.
fn check_worker(page: &NumberedPage, told: &HashMap<ClientId, Told>) -> anyhow::Result<()> {
    let mut next = 1;
    for life in &page.lives {
        let told = told.get(&life.id).context("a client that no worker was told of")?;
        ensure!(told.connects == 1, "{} connects of {}", told.connects, life.id);
        for number in &told.numbers {
            ensure!(*number >= next, "{number} comes again, or out of order: {next} was expected");
            let mut missing = next..*number;
            ensure!(missing.all(|number| page.unconfirmed.contains(&number)), "no {next} before {number}");
            next = number + 1;
        }
    }
    ensure!(next == page.sent + 2, "{} of {} have come", next - 1, page.sent + 1);
    let closed = &page.lives[..page.lives.len() - 1];
    ensure!(closed.iter().all(|life| told[&life.id].closes == 1), "a close that no worker was told of");
    ensure!(told[&page.lives[page.lives.len() - 1].id].closes == 0, "a close of a client that was only cut");
    Ok(())
}

/// Notes what a worker is told, until all pages have sent their last message.
async fn listen(mut worker: WorkerPeer, pages: usize) -> anyhow::Result<HashMap<ClientId, Told>> {
    let mut told: HashMap<ClientId, Told> = HashMap::new();
    let mut ended = 0;
    while ended < pages {
        let event = worker.told().await?;
        let client = told.entry(event.client).or_default();
        match event.kind {
            EventCommand::WebsocketConnect => client.connects += 1,
            EventCommand::Close => client.closes += 1,
            EventCommand::Message => {
                let text = String::from_utf8(event.body)?;
                let number = text.rsplit(' ').next().unwrap_or_default();
                client.numbers.push(number.parse().with_context(|| text.clone())?);
                ended += usize::from(text.starts_with(END));
            }
            _ => {}
        }
    }
    Ok(told)
}
