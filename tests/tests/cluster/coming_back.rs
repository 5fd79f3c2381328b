//! Pages that come back at another node of the cluster than they have left.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use gateway_tests::{Nodes, PhpPeer, ResumingPage, Rng, eventually};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query};
use gateway_wire::client_protocol::{GapReason, Opened};
use nix::sys::signal::Signal;
use serde_bytes::Bytes;
use tokio::net::TcpStream;

use super::operated_nodes::OperatedNodes;

fn bytes(text: &str) -> &Bytes {
    Bytes::new(text.as_bytes())
}

pub(crate) async fn join(php: &mut PhpPeer, client: ClientId, group: &str) -> anyhow::Result<()> {
    php.order(Order::JoinGroup { client, group: bytes(group) }).await.map(drop)
}

async fn send_to_client(php: &mut PhpPeer, client: ClientId, message: &str) -> anyhow::Result<()> {
    php.order(Order::SendToClient { client, message: bytes(message), raw: false }).await.map(drop)
}

pub(crate) async fn send_to_group(
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
    let Some(nodes) = OperatedNodes::start(TEST, 3, &[]).await? else { return Ok(()) };
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
    let Some(nodes) = OperatedNodes::start(TEST, 3, &[]).await? else { return Ok(()) };
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
    let Some(nodes) = OperatedNodes::start(TEST, 2, &[]).await? else { return Ok(()) };
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
    /// The last number of each publisher; 0 as long as it is not known.
    last: Arc<Vec<AtomicUsize>>,
    /// Whether nodes are stopped meanwhile, so that attempts may fail.
    nodes_stop: bool,
}

impl Traveller {
    /// Takes messages until the last of each publisher has come, and goes to another node again and again.
    async fn run(mut self) -> anyhow::Result<ResumingPage> {
        let last = Arc::clone(&self.last);
        let is_done = |taken: &BTreeMap<usize, usize>| {
            let last = last.iter().map(|last| last.load(Ordering::Relaxed)).enumerate();
            last.clone().all(|(publisher, last)| last > 0 && taken.get(&publisher) == Some(&last))
        };
        while !is_done(&self.taken) {
            for _ in 0..self.rng.below(60) {
                let text = match self.page.text().await {
                    Ok(text) => text,
                    // The node has closed the connection, as it stops.
                    Err(error)
                        if self.nodes_stop
                            && error.downcast_ref::<tokio::time::error::Elapsed>().is_none() =>
                    {
                        break;
                    }
                    Err(error) => {
                        let (id, taken) = (self.page.id()?, &self.taken);
                        return Err(error.context(format!("{id} has got {taken:?} of {:?}", self.last)));
                    }
                };
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
            self.go_on().await?;
            self.moves.fetch_add(1, Ordering::Relaxed);
            let outcome = self.page.outcome();
            anyhow::ensure!(matches!(outcome, Opened::Recovered { .. }), "{outcome:?}");
        }
        Ok(self.page)
    }

    /// Connects to any node, and goes on trying while one stops, or while nodes that are busy ask the page to try again.
    async fn go_on(&mut self) -> anyhow::Result<()> {
        let Self { page, rng, websockets, .. } = self;
        page.come_back_at(|| websockets[rng.below(websockets.len())]).await
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

/// Sends messages by some publishers to pages that go from node to node, and ends when every page has all of them.
struct Journey {
    travellers: Vec<Traveller>,
    publishers: Vec<PhpPeer>,
    /// The publishers do not end before this is true.
    may_end: Arc<AtomicBool>,
}

impl Journey {
    const PAGES: usize = 12;

    /// Connects pages to the first `stops` nodes, and a publisher to each of `publishers`.
    async fn prepare(
        nodes: &Nodes,
        stops: usize,
        publishers: &[usize],
        nodes_stop: bool,
    ) -> anyhow::Result<Self> {
        let websockets: Vec<_> = nodes.nodes[..stops].iter().map(|node| node.server.websocket).collect();
        let mut php = nodes.php(publishers[0]).await?;
        let moves = Arc::new(AtomicUsize::new(0));
        let last: Arc<Vec<_>> = Arc::new(publishers.iter().map(|_| AtomicUsize::new(0)).collect());
        let mut travellers = Vec::new();
        for number in 0..Self::PAGES {
            let page = ResumingPage::connected(websockets[number % stops]).await?;
            php.bind(page.id()?, &format!("uid {number}")).await?;
            join(&mut php, page.id()?, "all").await?;
            let (rng, moves, websockets) = (Rng::new(number as u64), Arc::clone(&moves), websockets.clone());
            let (taken, last) = (BTreeMap::new(), Arc::clone(&last));
            travellers.push(Traveller { page, rng, websockets, taken, moves, last, nodes_stop });
        }
        php.acked().await?;
        assert_eq!(php.count().await?, AnswerValue::Int(Self::PAGES as i64));
        let mut all = Vec::new();
        for node in publishers {
            all.push(nodes.php(*node).await?);
        }
        let may_end = Arc::new(AtomicBool::new(!nodes_stop));
        Ok(Self { travellers, publishers: all, may_end })
    }

    /// Runs until every page has taken all messages. Gives the pages, and how often they have moved.
    async fn run(self) -> anyhow::Result<(Vec<ResumingPage>, usize)> {
        let Self { travellers, publishers, may_end } = self;
        let (last, moves) = (Arc::clone(&travellers[0].last), Arc::clone(&travellers[0].moves));
        let tasks: Vec<_> = travellers.into_iter().map(|one| tokio::spawn(one.run())).collect();
        let is_failed = Arc::new(AtomicBool::new(false));
        let publish = |(publisher, php)| {
            let course = Course {
                pages: Self::PAGES,
                last: Arc::clone(&last),
                may_end: Arc::clone(&may_end),
                is_failed: Arc::clone(&is_failed),
            };
            tokio::spawn(publish(publisher, php, course))
        };
        let publishers: Vec<_> = publishers.into_iter().enumerate().map(publish).collect();
        let mut pages = Vec::new();
        for task in tasks {
            let done = task.await?;
            is_failed.fetch_or(done.is_err(), Ordering::Relaxed);
            pages.push(done);
        }
        for publisher in publishers {
            publisher.await??;
        }
        Ok((pages.into_iter().collect::<anyhow::Result<_>>()?, moves.load(Ordering::Relaxed)))
    }
}

/// What a publisher has to know.
struct Course {
    pages: usize,
    last: Arc<Vec<AtomicUsize>>,
    may_end: Arc<AtomicBool>,
    is_failed: Arc<AtomicBool>,
}

/// Sends numbered messages: every page gets every number once, in one of several ways.
async fn publish(publisher: usize, mut php: PhpPeer, course: Course) -> anyhow::Result<()> {
    let mut rng = Rng::new(1000 + publisher as u64);
    let names: Vec<_> = (0..course.pages).map(|number| format!("uid {number}")).collect();
    for number in 1.. {
        let is_last = number >= messages() && course.may_end.load(Ordering::Relaxed);
        if is_last {
            course.last[publisher].store(number, Ordering::Relaxed);
        }
        let text = format!("{publisher} {number}");
        match rng.below(4) {
            0 => php.send_to_all(&text).await?,
            1 => send_to_group(&mut php, "all", vec![], &text).await?,
            2 => {
                let uids = names.iter().map(|name| bytes(name)).collect();
                php.order(Order::SendToUids { uids, message: bytes(&text), raw: false }).await?;
            }
            _ => {
                for name in &names {
                    php.send_to_uid(name, &text).await?;
                }
            }
        }
        if number % 10 == 5 {
            php.acked().await?;
            // What is pushed is spread over the moves, and no page falls behind for ever.
            let pause = if course.may_end.load(Ordering::Relaxed) { 3 } else { 50 };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        if is_last || course.is_failed.load(Ordering::Relaxed) {
            break;
        }
    }
    php.acked().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_pages_go_from_node_to_node() -> anyhow::Result<()> {
    const TEST: &str = "nothing_is_lost_or_doubled_while_pages_go_from_node_to_node";
    let flags = ["--resume-messages", "50000"];
    let Some(nodes) = OperatedNodes::start(TEST, 3, &flags).await? else { return Ok(()) };
    let journey = Journey::prepare(&nodes, 3, &[0, 1, 2], false).await?;
    let (_pages, moves) = journey.run().await?;
    println!("{moves} moves");
    assert!(moves > Journey::PAGES);
    let mut php = nodes.php(0).await?;
    assert_eq!(php.count().await?, AnswerValue::Int(Journey::PAGES as i64));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_one_node_after_the_other_is_started_again() -> anyhow::Result<()> {
    const TEST: &str = "nothing_is_lost_or_doubled_while_one_node_after_the_other_is_started_again";
    let flags = ["--resume-messages", "50000", "--resume-bytes", "67108864", "--stop-timeout", "60"];
    let Some(mut nodes) = OperatedNodes::start(TEST, 4, &flags).await? else { return Ok(()) };
    // PHP pushes at a node that stays.
    let journey = Journey::prepare(&nodes, 3, &[3, 3], true).await?;
    let may_end = Arc::clone(&journey.may_end);
    let journey = tokio::spawn(journey.run());
    for node in [0, 1, 2] {
        nodes.nodes[node].server.signal(Signal::SIGTERM)?;
        assert!(nodes.all.nodes[node].server.exit().await?.success());
        nodes.all.replace(node).await?;
        let others = async || nodes.metric(3, "gateway_cluster_nodes").await;
        eventually("the node is there again", 4.0, others).await?;
    }
    may_end.store(true, Ordering::Relaxed);
    let (_pages, moves) = journey.await??;
    println!("{moves} moves");
    let mut php = nodes.php(3).await?;
    assert_eq!(php.count().await?, AnswerValue::Int(Journey::PAGES as i64));
    Ok(())
}

#[tokio::test]
async fn attempts_at_several_nodes_that_overtake_each_other_lock_nobody_out() -> anyhow::Result<()> {
    const TEST: &str = "attempts_at_several_nodes_that_overtake_each_other_lock_nobody_out";
    let Some(nodes) = OperatedNodes::start(TEST, 3, &[]).await? else { return Ok(()) };
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

#[tokio::test]
async fn a_node_that_stops_keeps_its_clients_until_others_have_fetched_them() -> anyhow::Result<()> {
    const TEST: &str = "a_node_that_stops_keeps_its_clients_until_others_have_fetched_them";
    let Some(mut nodes) = OperatedNodes::start(TEST, 3, &["--stop-timeout", "60"]).await? else {
        return Ok(());
    };
    let mut php = nodes.php(1).await?;
    let mut pages = Vec::new();
    for number in 0..20 {
        let page = ResumingPage::connected(nodes.nodes[0].server.websocket).await?;
        php.bind(page.id()?, &format!("uid {number}")).await?;
        pages.push(page);
    }
    php.acked().await?;
    // One is away already, and one is a plain client, which nobody waits for.
    pages[0].reset()?;
    let _plain = nodes.client(0).await?;
    nodes.nodes[0].server.signal(Signal::SIGTERM)?;
    for page in &mut pages[1..] {
        assert_eq!(page.closed().await?.0, 1001);
    }
    for number in 0..20 {
        php.send_to_uid(&format!("uid {number}"), "while it stops").await?;
    }
    php.acked().await?;
    for (number, page) in pages.iter_mut().enumerate() {
        page.connect(nodes.nodes[1 + number % 2].server.websocket).await?;
        anyhow::ensure!(matches!(page.outcome(), Opened::Recovered { .. }), "{:?}", page.outcome());
        assert_eq!(page.text().await?, "while it stops");
    }
    // It does not wait for longer than it has to.
    assert!(nodes.all.nodes[0].server.exit().await?.success());
    for (number, page) in pages.iter_mut().enumerate() {
        assert_eq!(php.clients_of(&format!("uid {number}")).await?, [page.id()?]);
        php.send_to_uid(&format!("uid {number}"), "afterwards").await?;
        assert_eq!(page.text().await?, "afterwards");
    }
    Ok(())
}

#[tokio::test]
async fn a_client_of_a_node_that_stops_gets_everything_when_the_other_shards_have_ended() -> anyhow::Result<()>
{
    const TEST: &str = "a_client_of_a_node_that_stops_gets_everything_when_the_other_shards_have_ended";
    const MESSAGES: usize = 50;
    let Some(nodes) = OperatedNodes::start(TEST, 3, &["--stop-timeout", "60"]).await? else { return Ok(()) };
    let mut php = nodes.php(2).await?;
    for (node, shard) in [(0, 0), (1, 1)] {
        // The page is a client of this shard. The other one has no client any more, and ends at once.
        let clients = format!("gateway_shard_clients{{shard=\"{shard}\"}}");
        let mut others = Vec::new();
        let mut page = loop {
            let page = ResumingPage::connected(nodes.nodes[node].server.websocket).await?;
            if nodes.metric(node, &clients).await? == 1.0 {
                break page;
            }
            others.push(page);
        };
        php.bind(page.id()?, "alice").await?;
        join(&mut php, page.id()?, "room").await?;
        for mut other in others {
            php.close_client(other.id()?).await?;
            assert_eq!(other.closed().await?.0, 1000);
        }
        php.acked().await?;
        nodes.nodes[node].server.signal(Signal::SIGTERM)?;
        assert_eq!(page.closed().await?.0, 1001);
        for number in 0..MESSAGES {
            php.send_to_all(&format!("all {number}")).await?;
            php.send_to_uid("alice", &format!("uid {number}")).await?;
            send_to_group(&mut php, "room", vec![], &format!("group {number}")).await?;
            php.acked().await?;
            assert_eq!(php.count().await?, AnswerValue::Int(1));
            assert_eq!(php.clients_of("alice").await?, [page.id()?]);
        }
        page.connect(nodes.nodes[2].server.websocket).await?;
        assert_eq!(page.outcome(), &Opened::Recovered { missed: 3 * MESSAGES as u64 });
        for number in 0..MESSAGES {
            for way in ["all", "uid", "group"] {
                assert_eq!(page.text().await?, format!("{way} {number}"));
            }
        }
        php.close_client(page.id()?).await?;
        php.acked().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_node_that_stops_does_not_wait_for_ever() -> anyhow::Result<()> {
    const TEST: &str = "a_node_that_stops_does_not_wait_for_ever";
    let Some(mut nodes) = OperatedNodes::start(TEST, 2, &["--stop-timeout", "1"]).await? else {
        return Ok(());
    };
    let mut page = ResumingPage::connected(nodes.nodes[0].server.websocket).await?;
    page.reset()?;
    nodes.nodes[0].server.signal(Signal::SIGTERM)?;
    assert!(nodes.all.nodes[0].server.exit().await?.success());
    page.connect(nodes.nodes[1].server.websocket).await?;
    assert_eq!(page.gap(), Some(GapReason::Restarted));
    Ok(())
}

#[tokio::test]
async fn a_node_that_dies_while_it_fetches_a_client_leaves_the_client_or_a_gap() -> anyhow::Result<()> {
    const TEST: &str = "a_node_that_dies_while_it_fetches_a_client_leaves_the_client_or_a_gap";
    let Some(mut nodes) = OperatedNodes::start(TEST, 3, &[]).await? else { return Ok(()) };
    let mut php = nodes.php(2).await?;
    let mut rng = Rng::new(5);
    for _ in 0..5 {
        let mut page = ResumingPage::connected(nodes.nodes[0].server.websocket).await?;
        php.bind(page.id()?, "alice").await?;
        php.acked().await?;
        page.reset()?;
        let offer = page.end.offer();
        let websocket = nodes.nodes[1].server.websocket;
        let fetch = tokio::spawn(async move {
            let mut lost = ResumingPage::<TcpStream>::default();
            lost.tells = false;
            let tcp = TcpStream::connect(websocket).await?;
            lost.over_with(tcp, "/", &[], offer).await
        });
        tokio::time::sleep(Duration::from_micros(rng.below(15_000) as u64)).await;
        nodes.nodes[1].server.signal(Signal::SIGKILL)?;
        let _ = fetch.await?;
        // The dead node has to be found missing before anybody can say what has become of the client. The others find that one after the
        // other.
        let others = async || nodes.metric(2, "gateway_cluster_nodes").await;
        eventually("the node is gone", 2.0, others).await?;
        page.come_back(nodes.nodes[2].server.websocket).await?;
        match page.outcome() {
            Opened::Recovered { missed: 0 } => {
                assert_eq!(php.clients_of("alice").await?, [page.id()?]);
                php.close_client(page.id()?).await?;
                assert_eq!(page.closed().await?.0, 1000);
            }
            _ => assert!(matches!(page.gap(), Some(GapReason::Restarted | GapReason::Moved))),
        }
        let nobody = async || Ok(php.clients_of("alice").await?.len());
        eventually("nobody is left behind", 0, nobody).await?;
        nodes.all.replace(1).await?;
        let others = async || nodes.metric(2, "gateway_cluster_nodes").await;
        eventually("the node is there again", 3.0, others).await?;
    }
    Ok(())
}
