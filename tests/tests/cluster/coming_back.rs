//! Pages that come back at another node of the cluster than they have left.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use gateway_tests::{Nodes, Operator, PhpPeer, ResumingPage, Rng, eventually};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query};
use gateway_wire::client_protocol::{GapReason, Opened};
use nix::sys::signal::Signal;
use serde_bytes::Bytes;
use tokio::net::TcpStream;

/// A cluster whose nodes have an operations port, and the file of its token.
struct Cluster {
    all: Nodes,
    _token: tempfile::NamedTempFile,
}

impl std::ops::Deref for Cluster {
    type Target = Nodes;

    fn deref(&self) -> &Nodes {
        &self.all
    }
}

impl Cluster {
    async fn start(test: &str, count: usize, flags: &[&str]) -> anyhow::Result<Option<Self>> {
        let token = tempfile::NamedTempFile::new()?;
        std::fs::write(&token, "operators\n")?;
        let path = token.path().to_str().context("a path in UTF-8")?;
        let own = ["--operations", "127.0.0.1:0", "--operations-token-file", path, "--shards", "2"];
        let nodes = Nodes::start(test, count, &[&own, flags].concat()).await?;
        Ok(nodes.map(|nodes| Self { all: nodes, _token: token }))
    }

    async fn metric(&self, node: usize, name: &str) -> anyhow::Result<f64> {
        Operator::of(&self.nodes[node].server)?.with_token("operators").metric(name).await
    }
}

fn bytes(text: &str) -> &Bytes {
    Bytes::new(text.as_bytes())
}

async fn join(php: &mut PhpPeer, client: ClientId, group: &str) -> anyhow::Result<()> {
    php.order(Order::JoinGroup { client, group: bytes(group) }).await.map(drop)
}

async fn send_to_client(php: &mut PhpPeer, client: ClientId, message: &str) -> anyhow::Result<()> {
    php.order(Order::SendToClient { client, message: bytes(message), raw: false }).await.map(drop)
}

async fn send_to_group(
    php: &mut PhpPeer,
    group: &str,
    except: Vec<ClientId>,
    message: &str,
) -> anyhow::Result<()> {
    let groups = [bytes(group)].into();
    php.order(Order::SendToGroups { groups, except, message: bytes(message), raw: false }).await.map(drop)
}

async fn is_online(php: &mut PhpPeer, client: ClientId) -> anyhow::Result<bool> {
    Ok(php.ask(Query::IsOnline { client }).await? == AnswerValue::Bool(true))
}

#[tokio::test]
async fn a_page_goes_on_at_another_node_as_the_client_that_it_was() -> anyhow::Result<()> {
    const TEST: &str = "a_page_goes_on_at_another_node_as_the_client_that_it_was";
    let Some(nodes) = Cluster::start(TEST, 3, &[]).await? else { return Ok(()) };
    let mut php = [nodes.php(0).await?, nodes.php(1).await?, nodes.php(2).await?];
    let mut page = ResumingPage::connected(nodes.nodes[0].server.websocket).await?;
    let old = page.id()?;
    php[0].bind(old, "alice").await?;
    join(&mut php[0], old, "room").await?;
    php[0].order(Order::SetSession { client: old, session: Bytes::new(b"a:1:{s:1:\"k\";i:7;}") }).await?;
    php[0].acked().await?;
    php[0].send_to_uid("alice", "seen").await?;
    assert_eq!(page.text().await?, "seen");

    page.reset()?;
    eventually("the page is away", 1.0, async || nodes.metric(0, "gateway_parked_clients").await).await?;
    php[0].send_to_uid("alice", "to the uid").await?;
    php[0].acked().await?;
    assert!(is_online(&mut php[1], old).await?, "who is away is online");
    send_to_group(&mut php[1], "room", vec![], "to the group").await?;
    assert!(is_online(&mut php[1], old).await?);
    php[2].send_to_all("to all").await?;
    assert!(is_online(&mut php[2], old).await?);

    page.connect(nodes.nodes[1].server.websocket).await?;
    assert_eq!(page.outcome(), &Opened::Recovered { missed: 3 });
    let new = page.id()?;
    assert_eq!(SocketAddr::V4(new.node), nodes.nodes[1].server.register[0]);
    for message in ["to the uid", "to the group", "to all"] {
        assert_eq!(page.text().await?, message);
    }
    for php in &mut php {
        assert_eq!(php.clients_of("alice").await?, [new]);
        assert_eq!(php.count().await?, AnswerValue::Int(1));
        assert!(is_online(php, old).await? && is_online(php, new).await?);
        let session = php.ask(Query::Session { client: old }).await?;
        assert_eq!(session, AnswerValue::Str(b"a:1:{s:1:\"k\";i:7;}".to_vec()));
        // Calls that name the old client_id reach the client, and leave it out.
        send_to_client(php, old, "by the old id").await?;
        assert_eq!(page.text().await?, "by the old id");
        send_to_group(php, "room", vec![old], "not for the page").await?;
        send_to_group(php, "room", vec![new], "not for the page").await?;
        send_to_group(php, "room", vec![], "for the page").await?;
        assert_eq!(page.text().await?, "for the page");
    }
    join(&mut php[2], old, "joined by the old id").await?;
    php[2].acked().await?;
    send_to_group(&mut php[0], "joined by the old id", vec![], "in the group").await?;
    assert_eq!(page.text().await?, "in the group");

    // The page goes on to the third node, and back to the first; its first client_id goes on to name it.
    for node in [2, 0] {
        page.reset()?;
        page.connect(nodes.nodes[node].server.websocket).await?;
        assert_eq!(page.outcome(), &Opened::Recovered { missed: 0 });
        let new = page.id()?;
        send_to_client(&mut php[1], old, "on and on").await?;
        assert_eq!(page.text().await?, "on and on");
        assert_eq!(php[1].clients_of("alice").await?, [new]);
        assert_eq!(php[1].count().await?, AnswerValue::Int(1));
    }
    php[2].close_client(old).await?;
    assert_eq!(page.closed().await?.0, 1000);
    eventually("everybody is gone", AnswerValue::Int(0), async || php[0].count().await).await?;
    assert!(!is_online(&mut php[1], old).await?);
    Ok(())
}

#[tokio::test]
async fn a_page_that_never_saw_its_init_comes_back_with_the_secret_of_the_old_node() -> anyhow::Result<()> {
    const TEST: &str = "a_page_that_never_saw_its_init_comes_back_with_the_secret_of_the_old_node";
    let Some(nodes) = Cluster::start(TEST, 3, &[]).await? else { return Ok(()) };
    let mut php = nodes.php(0).await?;
    for back_at in [1, 0, 2] {
        let mut page = ResumingPage::connected(nodes.nodes[0].server.websocket).await?;
        php.bind(page.id()?, "alice").await?;
        php.acked().await?;
        page.reset()?;
        let offer = page.end.offer();
        // Everything that node 1 sends on this connection is lost.
        let mut lost = ResumingPage::<TcpStream>::default();
        lost.tells = false;
        let tcp = TcpStream::connect(nodes.nodes[1].server.websocket).await?;
        lost.over_with(tcp, "/", &[], offer).await.err().context("a page without a history takes no init")?;
        drop(lost);
        php.send_to_uid("alice", "missed").await?;
        // The answer of all nodes comes behind the message.
        assert_eq!(php.clients_of("alice").await?.len(), 1);
        page.connect(nodes.nodes[back_at].server.websocket).await?;
        assert_eq!(page.outcome(), &Opened::Recovered { missed: 1 }, "back at node {back_at}");
        assert_eq!(page.text().await?, "missed");
        assert_eq!(php.clients_of("alice").await?, [page.id()?]);
        php.close_client(page.id()?).await?;
        assert_eq!(page.closed().await?.0, 1000);
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_dies_takes_its_clients_with_it_and_says_so() -> anyhow::Result<()> {
    const TEST: &str = "a_node_that_dies_takes_its_clients_with_it_and_says_so";
    let Some(nodes) = Cluster::start(TEST, 2, &[]).await? else { return Ok(()) };
    let mut page = ResumingPage::connected(nodes.nodes[0].server.websocket).await?;
    nodes.nodes[0].server.signal(Signal::SIGKILL)?;
    page.reset()?;
    let others = async || nodes.metric(1, "gateway_cluster_nodes").await;
    eventually("the node is gone", 1.0, others).await?;
    page.connect(nodes.nodes[1].server.websocket).await?;
    assert_eq!(page.gap(), Some(GapReason::Restarted));
    Ok(())
}

/// A page that goes from node to node, and the numbers that it has taken from each publisher.
struct Traveller {
    page: ResumingPage,
    rng: Rng,
    websockets: Vec<SocketAddr>,
    taken: BTreeMap<usize, usize>,
    moves: Arc<AtomicUsize>,
}

impl Traveller {
    /// Takes messages until the last of each publisher has come, and goes to another node again and again.
    async fn run(mut self, publishers: usize, last: usize) -> anyhow::Result<ResumingPage> {
        let is_done = |taken: &BTreeMap<usize, usize>| {
            taken.len() == publishers && taken.values().all(|number| *number == last)
        };
        while !is_done(&self.taken) {
            for _ in 0..self.rng.below(60) {
                let text = self.page.text().await?;
                let mut numbers = text.split(' ').map(str::parse::<usize>);
                let (Some(Ok(publisher)), Some(Ok(number))) = (numbers.next(), numbers.next()) else {
                    anyhow::bail!("{text:?}");
                };
                let before = self.taken.insert(publisher, number).unwrap_or(0);
                anyhow::ensure!(number == before + 1, "{number} behind {before} of publisher {publisher}");
                if is_done(&self.taken) {
                    return Ok(self.page);
                }
            }
            self.cut()?;
            let to = self.websockets[self.rng.below(self.websockets.len())];
            self.page.connect(to).await?;
            self.moves.fetch_add(1, Ordering::Relaxed);
            let outcome = self.page.outcome();
            anyhow::ensure!(matches!(outcome, Opened::Recovered { .. }), "{outcome:?}");
        }
        Ok(self.page)
    }

    fn cut(&mut self) -> anyhow::Result<()> {
        match self.rng.below(3) {
            0 => self.page.reset()?,
            // The node hears nothing of this end, and believes in the connection until the page comes back.
            1 => std::mem::forget(self.page.socket.take()),
            _ => drop(self.page.socket.take()),
        }
        self.page.end.cut();
        Ok(())
    }
}

/// The number of messages of each publisher. `RESUME_MESSAGES` asks for more.
fn messages() -> usize {
    std::env::var("RESUME_MESSAGES").ok().and_then(|number| number.parse().ok()).unwrap_or(400)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_pages_go_from_node_to_node() -> anyhow::Result<()> {
    const TEST: &str = "nothing_is_lost_or_doubled_while_pages_go_from_node_to_node";
    const PAGES: usize = 12;
    const NODES: usize = 3;
    let Some(nodes) = Cluster::start(TEST, NODES, &["--resume-messages", "50000"]).await? else {
        return Ok(());
    };
    let websockets: Vec<_> = nodes.nodes.iter().map(|node| node.server.websocket).collect();
    let mut php = nodes.php(0).await?;
    let moves = Arc::new(AtomicUsize::new(0));
    let mut travellers = Vec::new();
    for number in 0..PAGES {
        let page = ResumingPage::connected(websockets[number % NODES]).await?;
        php.bind(page.id()?, &format!("uid {number}")).await?;
        join(&mut php, page.id()?, "all").await?;
        let (rng, moves) = (Rng::new(number as u64), Arc::clone(&moves));
        travellers.push(Traveller {
            page,
            rng,
            websockets: websockets.clone(),
            taken: BTreeMap::new(),
            moves,
        });
    }
    php.acked().await?;
    php.count().await?;
    let messages = messages();
    let mut tasks: Vec<_> =
        travellers.into_iter().map(|one| tokio::spawn(one.run(NODES, messages))).collect();
    let is_failed = Arc::new(AtomicBool::new(false));
    let mut publishers = Vec::new();
    for publisher in 0..NODES {
        let (mut php, is_failed) = (nodes.php(publisher).await?, Arc::clone(&is_failed));
        publishers.push(tokio::spawn(async move {
            let mut rng = Rng::new(1000 + publisher as u64);
            for number in 1..=messages {
                let text = format!("{publisher} {number}");
                // Every page gets every number once, in one of several ways.
                match rng.below(4) {
                    0 => php.send_to_all(&text).await?,
                    1 => send_to_group(&mut php, "all", vec![], &text).await?,
                    2 => {
                        let names: Vec<_> = (0..PAGES).map(|number| format!("uid {number}")).collect();
                        let uids = names.iter().map(|name| bytes(name)).collect();
                        php.order(Order::SendToUids { uids, message: bytes(&text), raw: false }).await?;
                    }
                    _ => {
                        for number in 0..PAGES {
                            php.send_to_uid(&format!("uid {number}"), &text).await?;
                        }
                    }
                }
                if number % 10 == 5 {
                    php.acked().await?;
                    // What is pushed is spread over the moves.
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                if is_failed.load(Ordering::Relaxed) {
                    break;
                }
            }
            anyhow::Ok(())
        }));
    }
    let mut pages = Vec::new();
    for task in tasks.drain(..) {
        let done = task.await?;
        is_failed.fetch_or(done.is_err(), Ordering::Relaxed);
        pages.push(done);
    }
    for publisher in publishers {
        publisher.await??;
    }
    let pages = pages.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    eprintln!(
        "{PAGES} pages took {messages} messages of each of {NODES} nodes over {} moves",
        moves.load(Ordering::Relaxed)
    );
    assert!(moves.load(Ordering::Relaxed) > PAGES);
    assert_eq!(php.count().await?, AnswerValue::Int(PAGES as i64));
    drop(pages);
    Ok(())
}

#[tokio::test]
async fn attempts_at_several_nodes_that_overtake_each_other_lock_nobody_out() -> anyhow::Result<()> {
    const TEST: &str = "attempts_at_several_nodes_that_overtake_each_other_lock_nobody_out";
    let Some(nodes) = Cluster::start(TEST, 3, &[]).await? else { return Ok(()) };
    let mut php = nodes.php(0).await?;
    for late_at in [2, 0, 1] {
        let mut page = ResumingPage::connected(nodes.nodes[0].server.websocket).await?;
        php.bind(page.id()?, "alice").await?;
        php.acked().await?;
        let early = page.end.offer();
        page.reset()?;
        // The page has its new secret, and nothing that it says there is read before its own earlier attempt arrives elsewhere.
        page.tells = false;
        page.connect(nodes.nodes[1].server.websocket).await?;
        let mut late = ResumingPage::<TcpStream>::default();
        late.tells = false;
        late.end = page.end.clone();
        let tcp = TcpStream::connect(nodes.nodes[late_at].server.websocket).await?;
        late.over_with(tcp, "/", &[], early).await?;
        page.tells = true;
        page.connect(nodes.nodes[0].server.websocket).await?;
        assert_eq!(page.outcome(), &Opened::Recovered { missed: 0 }, "late at node {late_at}");
        assert_eq!(php.clients_of("alice").await?, [page.id()?]);
        php.close_client(page.id()?).await?;
        assert_eq!(page.closed().await?.0, 1000);
    }
    Ok(())
}
