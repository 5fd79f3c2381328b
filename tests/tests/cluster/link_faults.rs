//! A cluster whose links are cut, stall and lag, whose NATS is killed and whose nodes die: no push to a client that lives is
//! lost or comes twice.
//!
//! `GATEWAY_SEED=…` makes the same faults as another run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use gateway_tests::{Client, Nodes, PhpPeer, Rng, SECRET, eventually, new_producer};
use nix::sys::signal::Signal;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

const NODES: usize = 4;
const UIDS: u64 = 5;
const CLIENTS: usize = 3;
const FAULTS: usize = 100;

/// The number of pushes, by sender and uid.
type Sent = BTreeMap<(usize, u64), u64>;

/// A PHP process that pushes without end to one node, as long as that node lives.
struct Sender {
    sent: Arc<Mutex<Sent>>,
    task: JoinHandle<anyhow::Result<()>>,
}

/// A client, and the messages that it has got.
struct Page {
    node: usize,
    uid: u64,
    /// For each sender, how much it had sent to this uid when the client was bound.
    since: Vec<(usize, u64)>,
    got: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

struct Stage {
    nodes: Nodes,
    senders: Vec<Sender>,
    /// The numbers of the senders that push to each node now.
    current: Vec<usize>,
    pages: Vec<Page>,
    /// The clients whose node has died.
    former: Vec<Page>,
    is_over: Arc<AtomicBool>,
}

impl Stage {
    async fn add_sender(&mut self, node: usize) -> anyhow::Result<()> {
        let mut php = self.nodes.php(node).await?;
        let number = self.senders.len();
        let sent: Arc<Mutex<Sent>> = Arc::default();
        let (noted, is_over) = (Arc::clone(&sent), Arc::clone(&self.is_over));
        let task = tokio::spawn(async move {
            let mut uid = number as u64;
            while !is_over.load(Ordering::Relaxed) {
                for _ in 0..5 {
                    uid = (uid + 1) % UIDS;
                    let count = {
                        let mut sent = noted.lock().unwrap_or_else(PoisonError::into_inner);
                        let count = sent.entry((number, uid)).or_default();
                        *count += 1;
                        *count
                    };
                    php.send_to_uid(&uid.to_string(), &format!("{number} {uid} {count}")).await?;
                }
                php.acked().await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        });
        self.senders.push(Sender { sent, task });
        if node == self.current.len() {
            self.current.push(number)
        } else {
            self.current[node] = number
        }
        Ok(())
    }

    async fn add_page(&mut self, node: usize, uid: u64) -> anyhow::Result<()> {
        let server = &self.nodes.nodes[node].server;
        let mut client = Client::connect(server.websocket).await?;
        let mut php = PhpPeer::connect_as(server.register[0], new_producer(), SECRET.as_bytes()).await?;
        php.bind(client.id, &uid.to_string()).await?;
        php.acked().await?;
        // Everything that is sent to this uid from now on must arrive.
        let since = self.senders.iter().enumerate().map(|(number, sender)| {
            (
                number,
                sender
                    .sent
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get(&(number, uid))
                    .copied()
                    .unwrap_or(0),
            )
        });
        let since = since.collect();
        let got: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&got);
        let task = tokio::spawn(async move {
            // This goes on as long as the client's node lives, even if nothing comes for minutes.
            while let Some(Ok(message)) = client.socket.next().await {
                if let Message::Text(text) = message {
                    noted.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_string());
                }
            }
        });
        self.pages.push(Page { node, uid, since, got, task });
        Ok(())
    }

    async fn fault(&mut self, rng: &mut Rng) -> anyhow::Result<String> {
        let node = rng.below(NODES);
        let pause = millis(rng, 400);
        let way = &self.nodes.nodes[node].way;
        Ok(match rng.below(20) {
            0..7 => {
                way.cut();
                format!("cut the way of {node}")
            }
            7..10 => {
                way.close();
                tokio::time::sleep(pause).await;
                way.open();
                format!("the way of {node} was closed for {pause:?}")
            }
            10..12 => {
                way.stall();
                tokio::time::sleep(pause).await;
                way.open();
                format!("the way of {node} stood still for {pause:?}")
            }
            12 => {
                way.stall();
                tokio::time::sleep(pause / 2).await;
                way.cut();
                way.open();
                format!("the way of {node} stood still and was cut")
            }
            13..15 => {
                way.delay(pause / 40);
                format!("the way of {node} takes {:?}", pause / 40)
            }
            15..17 => {
                let server = &self.nodes.nodes[node].server;
                server.signal(Signal::SIGSTOP)?;
                tokio::time::sleep(pause).await;
                server.signal(Signal::SIGCONT)?;
                format!("{node} stood still for {pause:?}")
            }
            17..19 => {
                self.nodes.nats.kill().await?;
                tokio::time::sleep(pause / 2).await;
                self.nodes.nats.restart().await?;
                "NATS was killed".to_owned()
            }
            _ => {
                self.kill(node).await?;
                format!("{node} was killed")
            }
        })
    }

    async fn kill(&mut self, node: usize) -> anyhow::Result<()> {
        self.nodes.nodes[node].server.signal(Signal::SIGKILL)?;
        self.nodes.nodes[node].server.exit().await?;
        self.nodes.replace(node).await?;
        let (gone, stay) = std::mem::take(&mut self.pages).into_iter().partition(|page| page.node == node);
        self.pages = stay;
        let gone: Vec<Page> = gone;
        let uids: Vec<_> = gone.iter().map(|page| page.uid).collect();
        self.former.extend(gone);
        self.add_sender(node).await?;
        for uid in uids {
            self.add_page(node, uid).await?;
        }
        Ok(())
    }

    /// Gives what is wrong with the messages that a client has got.
    fn check(&self, page: &Page, lives: bool) -> Result<(), String> {
        let mut got: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for text in page.got.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let numbers: Vec<u64> = text.split(' ').filter_map(|number| number.parse().ok()).collect();
            let [sender, uid, count] = numbers[..] else { return Err(format!("{text:?}")) };
            if uid != page.uid {
                return Err(format!("{text:?} at uid {}", page.uid));
            }
            got.entry(sender as usize).or_default().push(count);
        }
        let since_of =
            |sender| page.since.iter().find(|(one, _)| *one == sender).map_or(0, |(_, count)| *count);
        for (sender, counts) in &got {
            // Messages from before the client was bound may come in part, with gaps: nodes send them again to a node that is
            // new.
            let is_wrong = |pair: &&[u64]| {
                pair[1] <= pair[0] || pair[1] != pair[0] + 1 && pair[1] > since_of(*sender) + 1
            };
            if let Some(pair) = counts.windows(2).find(is_wrong) {
                return Err(format!(
                    "of sender {sender} to uid {} at node {}: {} after {}, where it has to get all after {}",
                    page.uid,
                    page.node,
                    pair[1],
                    pair[0],
                    since_of(*sender)
                ));
            }
        }
        if !lives {
            return Ok(());
        }
        for sender in &self.current {
            let sent = self.senders[*sender]
                .sent
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&(*sender, page.uid))
                .copied()
                .unwrap_or(0);
            let since = since_of(*sender);
            let counts = got.get(sender).map_or(&[][..], Vec::as_slice);
            if sent > since
                && (counts.first().is_none_or(|first| *first > since + 1) || counts.last() != Some(&sent))
            {
                return Err(format!(
                    "of sender {sender} at node {}: {:?} to {:?}, where {since} to {sent} were sent; current {:?}",
                    page.node,
                    counts.first(),
                    counts.last(),
                    self.current
                ));
            }
        }
        Ok(())
    }
}

fn millis(rng: &mut Rng, below: usize) -> Duration {
    Duration::from_millis(rng.below(below) as u64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_over_a_hundred_faults() -> anyhow::Result<()> {
    let seed = match std::env::var("GATEWAY_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => u64::from(std::process::id()),
    };
    println!("GATEWAY_SEED={seed}");
    let mut rng = Rng::new(seed);
    let test = "nothing_is_lost_or_doubled_over_a_hundred_faults";
    let Some(nodes) =
        Nodes::start(test, NODES, &["--shards", "2", "--log", "info,gateway_server::cluster=debug"]).await?
    else {
        return Ok(());
    };
    let mut stage = Stage {
        nodes,
        senders: Vec::new(),
        current: Vec::new(),
        pages: Vec::new(),
        former: Vec::new(),
        is_over: Arc::default(),
    };
    for node in 0..NODES {
        stage.add_sender(node).await?;
        for client in 0..CLIENTS {
            stage.add_page(node, ((node * CLIENTS + client) as u64) % UIDS).await?;
        }
    }
    let mut faults = Vec::new();
    for _ in 0..FAULTS {
        let fault = stage.fault(&mut rng).await.with_context(|| faults.join("\n"))?;
        faults.push(fault);
        tokio::time::sleep(millis(&mut rng, 100)).await;
        if rng.below(5) == 0 {
            stage.nodes.nodes.iter().for_each(|node| node.way.open());
        }
    }
    stage.nodes.nodes.iter().for_each(|node| node.way.open());
    stage.is_over.store(true, Ordering::Relaxed);
    for sender in stage.current.clone() {
        let task = &mut stage.senders[sender].task;
        tokio::time::timeout(gateway_tests::PATIENCE, task)
            .await??
            .with_context(|| format!("sender {sender}"))?;
    }
    let all = eventually("what has come", Ok(()), async || {
        Ok(stage.pages.iter().try_for_each(|page| stage.check(page, true)))
    });
    if let Err(error) = all.await {
        // The logs of all nodes may tell the reason.
        for (number, node) in stage.nodes.nodes.iter_mut().enumerate() {
            eprintln!("node {number}, {}:", node.server.register[0]);
            node.server.signal(Signal::SIGKILL)?;
            let _ = node.server.logs("\0").await;
        }
        return Err(error.context(faults.join("\n")));
    }
    for page in &stage.former {
        stage.check(page, false).map_err(anyhow::Error::msg).with_context(|| faults.join("\n"))?;
    }
    for page in stage.pages.iter().chain(&stage.former) {
        page.task.abort();
    }
    Ok(())
}
