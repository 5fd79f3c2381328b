//! Upgrades of a cluster's nodes, one after the other, while PHP at every node pushes to clients of all nodes and asks about them: each
//! message arrives once and in order, and each call is answered rightly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use gateway_tests::{Client, Nodes, ResendingPhp, ResumingPage, Rng, SECRET, children, send_signal};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query};
use gateway_wire::client_protocol::Opened;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_bytes::Bytes;

use super::operated_nodes::OperatedNodes;

const NODES: usize = 3;
const CLIENTS: usize = 8;
/// How often each node is upgraded. `CLUSTER_UPGRADES` asks for another number.
fn rounds() -> usize {
    std::env::var("CLUSTER_UPGRADES").ok().and_then(|number| number.parse().ok()).unwrap_or(4)
}

/// A busy machine may take longer for an answer than a node has by default.
const FLAGS: [&str; 2] = ["--cluster-timeout", "20"];

/// The word in the last message of each PHP process.
const LAST: &str = "last";

/// What one client has got: messages `PROCESS NUMBER`, those of each process once and in order.
#[derive(Default)]
struct Sequences {
    next: [usize; NODES],
    ended: usize,
}

impl Sequences {
    /// Takes a message. Gives whether it is the last of all.
    fn take(&mut self, text: &str) -> anyhow::Result<bool> {
        let (process, number) = text.split_once(' ').context("PROCESS NUMBER")?;
        let next = &mut self.next[process.parse::<usize>()?];
        if number == LAST {
            self.ended += 1;
        } else {
            ensure!(number.parse() == Ok(*next), "{text:?}, and {next} was to come");
            *next += 1;
        }
        Ok(self.ended == NODES)
    }
}

/// A PHP process: pushes to all uids, asks, and binds clients of other nodes, until `done`. Gives the number of its rounds.
async fn push(
    process: usize,
    mut php: ResendingPhp,
    uids: Vec<String>,
    clients: Vec<ClientId>,
    done: Arc<AtomicBool>,
) -> anyhow::Result<usize> {
    let mut round = 0;
    let group = format!("group {process}");
    while !done.load(Ordering::Relaxed) {
        for uid in &uids {
            php.send_to_uid(uid, &format!("{process} {round}")).await?;
        }
        php.confirmed().await.with_context(|| format!("round {round} of process {process}"))?;
        let count = php.ask(Query::ClientCount {}).await?;
        ensure!(count == AnswerValue::Int(uids.len() as i64), "{count:?} clients of {}", uids.len());
        let client = clients[round % clients.len()];
        for order in [
            Order::JoinGroup { client, group: Bytes::new(group.as_bytes()) },
            Order::SetSession { client, session: Bytes::new(b"a:0:{}") },
        ] {
            php.order(order).await?;
        }
        php.confirmed().await.with_context(|| format!("binding in round {round} of process {process}"))?;
        let online = php.ask(Query::IsOnline { client }).await?;
        ensure!(online == AnswerValue::Bool(true), "{client} is {online:?}");
        round += 1;
    }
    for uid in &uids {
        php.send_to_uid(uid, &format!("{process} {LAST}")).await?;
    }
    php.confirmed().await?;
    Ok(round)
}

async fn php(nodes: &Nodes, node: usize) -> anyhow::Result<ResendingPhp> {
    ResendingPhp::connect_with(nodes.nodes[node].server.register[0], SECRET.as_bytes()).await
}

async fn take_all(mut client: Client) -> anyhow::Result<[usize; NODES]> {
    let mut sequences = Sequences::default();
    while !sequences.take(&client.text().await?)? {}
    Ok(sequences.next)
}

async fn take_all_pages(mut page: ResumingPage) -> anyhow::Result<[usize; NODES]> {
    let mut sequences = Sequences::default();
    while !sequences.take(&page.text().await?)? {}
    Ok(sequences.next)
}

/// Binds clients of all nodes, pushes to them by PHP at each node until `done`, and takes what comes. The result is ready once everything
/// has come, each message once and in order.
async fn traffic(
    nodes: &Nodes,
    done: Arc<AtomicBool>,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<>> {
    let mut binder = php(nodes, 0).await?;
    let (mut uids, mut ids, mut taking) = (Vec::new(), Vec::new(), Vec::new());
    for node in 0..NODES {
        for number in 0..CLIENTS {
            let uid = format!("{node}/{number}");
            if number % 2 == 0 {
                let client = nodes.client(node).await?;
                ids.push(client.id);
                taking.push(tokio::spawn(take_all(client)));
            } else {
                let page = ResumingPage::connected(nodes.nodes[node].server.websocket).await?;
                ids.push(page.id()?);
                taking.push(tokio::spawn(take_all_pages(page)));
            }
            binder.bind(ids[ids.len() - 1], &uid).await?;
            uids.push(uid);
        }
    }
    binder.confirmed().await?;
    let mut pushing = Vec::new();
    for process in 0..NODES {
        let php = php(nodes, process).await?;
        pushing.push(tokio::spawn(push(process, php, uids.clone(), ids.clone(), Arc::clone(&done))));
    }
    Ok(async move {
        let mut pushed = Vec::new();
        for process in pushing {
            pushed.push(process.await??);
        }
        for taken in try_join_all(taking).await? {
            ensure!(taken?.to_vec() == pushed, "not all has come");
        }
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_and_no_php_notices_that_nodes_are_upgraded() -> anyhow::Result<()> {
    const TEST: &str = "no_client_and_no_php_notices_that_nodes_are_upgraded";
    let Some(mut nodes) = OperatedNodes::start(TEST, NODES, &FLAGS).await? else { return Ok(()) };
    let done = Arc::new(AtomicBool::new(false));
    let traffic = traffic(&nodes, Arc::clone(&done)).await?;
    for round in 0..rounds() {
        for node in 0..NODES {
            let upgraded = nodes.upgrade(node).await?;
            ensure!(upgraded["clients"] == CLIENTS, "{upgraded}");
            eprintln!("round {round}, node {node}: {upgraded}");
        }
    }
    done.store(true, Ordering::Relaxed);
    traffic.await?;
    for node in 0..NODES {
        // A node that had been taken for gone would have been missed by what was pushed meanwhile.
        assert_eq!(nodes.metric(node, "gateway_cluster_missed_total").await?, 0.0, "node {node}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_new_process_is_killed_goes_on_in_its_cluster() -> anyhow::Result<()> {
    const TEST: &str = "a_node_whose_new_process_is_killed_goes_on_in_its_cluster";
    /// The time within which the new process is killed. An upgrade takes some fifty milliseconds.
    const WITHIN: usize = 120;
    /// A process that has what it needs decides within this time, in which nodes are not yet taken for gone.
    const DECIDES: Duration = Duration::from_millis(1500);
    const DECIDED: &str = "it is decided that the clients are the new process's";
    let flags = [&FLAGS[..], &["--log", "info,gateway_server::handover=debug"]].concat();
    let Some(mut nodes) = OperatedNodes::start(TEST, NODES, &flags).await? else { return Ok(()) };
    let done = Arc::new(AtomicBool::new(false));
    let traffic = traffic(&nodes, Arc::clone(&done)).await?;
    let mut rng = Rng::new(11);
    let (mut given_up, mut taken_over) = (0, 0);
    for number in 0..2 * rounds() {
        let node = number % NODES;
        let (operator, old) = (nodes.operator(node)?, nodes.nodes[node].server.pid()?);
        let asked = tokio::spawn(async move { operator.ask("POST", "/upgrade", "").await });
        tokio::time::sleep(Duration::from_millis(rng.below(WITHIN) as u64)).await;
        let server = &mut nodes.all.nodes[node].server;
        let mut is_decided = false;
        // The old process has no other child than the new one, and may itself have gone by now.
        if let Some(new) = children(old).unwrap_or_default().first().copied().filter(|_| !asked.is_finished())
        {
            // What the new process was told before it was halted, it goes on with. From then on it tells the old one nothing.
            send_signal(new, Signal::SIGSTOP)?;
            is_decided = tokio::time::timeout(DECIDES, server.logs(DECIDED)).await.is_ok();
            kill(new, if is_decided { Signal::SIGCONT } else { Signal::SIGKILL })?;
        }
        let answer = asked.await??;
        if answer.status == 200 {
            if !is_decided {
                server.logs(DECIDED).await?;
            }
            let pid = answer.json()?["pid"].as_i64().context("the pid of the new process")?;
            server.adopt(Pid::from_raw(pid.try_into()?));
            taken_over += 1;
        } else {
            ensure!(!is_decided, "{answer:?}");
            given_up += 1;
        }
    }
    eprintln!("{given_up} upgrades were given up, {taken_over} not");
    ensure!(given_up > 0);
    done.store(true, Ordering::Relaxed);
    traffic.await
}

#[tokio::test]
async fn a_page_that_waits_for_a_node_without_an_answer_does_not_hold_an_upgrade_up() -> anyhow::Result<()> {
    const TEST: &str = "a_page_that_waits_for_a_node_without_an_answer_does_not_hold_an_upgrade_up";
    let Some(mut nodes) = OperatedNodes::start(TEST, 2, &FLAGS).await? else { return Ok(()) };
    let websockets: Vec<_> = nodes.nodes.iter().map(|node| node.server.websocket).collect();
    let mut page = ResumingPage::connected(websockets[0]).await?;
    let mut php = php(&nodes, 0).await?;
    php.bind(page.id()?, "page").await?;
    php.confirmed().await?;
    page.reset()?;
    php.send_to_uid("page", "while it was away").await?;
    php.confirmed().await?;
    nodes.nodes[0].server.signal(Signal::SIGSTOP)?;
    let coming = tokio::spawn(async move {
        page.come_back(websockets[1]).await?;
        anyhow::Ok(page)
    });
    nodes.upgrade(1).await?;
    nodes.nodes[0].server.signal(Signal::SIGCONT)?;
    let mut page = coming.await??;
    assert!(matches!(page.outcome(), Opened::Recovered { .. }), "{:?}", page.outcome());
    assert_eq!(page.text().await?, "while it was away");
    Ok(())
}

/// Comes back at these addresses in turn, as often as it takes. Gives the page once `done`.
async fn wander(
    mut page: ResumingPage,
    websockets: Vec<SocketAddr>,
    mut rng: Rng,
    done: Arc<AtomicBool>,
) -> anyhow::Result<(ResumingPage, usize)> {
    let mut moves = 0;
    while !done.load(Ordering::Relaxed) {
        page.reset()?;
        page.come_back_at(|| websockets[rng.below(websockets.len())]).await?;
        let outcome = page.outcome();
        ensure!(matches!(outcome, Opened::Recovered { .. }), "after {moves} moves: {outcome:?}");
        moves += 1;
        tokio::time::sleep(Duration::from_millis(rng.below(200) as u64)).await;
    }
    Ok((page, moves))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_wander_between_nodes_that_are_upgraded_miss_nothing() -> anyhow::Result<()> {
    const TEST: &str = "pages_that_wander_between_nodes_that_are_upgraded_miss_nothing";
    const PAGES: usize = 12;
    let Some(mut nodes) = OperatedNodes::start(TEST, NODES, &FLAGS).await? else { return Ok(()) };
    let websockets: Vec<_> = nodes.nodes.iter().map(|node| node.server.websocket).collect();
    let mut binder = php(&nodes, 0).await?;
    let done = Arc::new(AtomicBool::new(false));
    let (mut uids, mut wandering) = (Vec::new(), Vec::new());
    for number in 0..PAGES {
        let page = ResumingPage::connected(websockets[number % NODES]).await?;
        let uid = format!("page {number}");
        binder.bind(page.id()?, &uid).await?;
        uids.push(uid);
        let rng = Rng::new(number as u64);
        wandering.push((page, rng));
    }
    binder.confirmed().await?;
    let wandering: Vec<_> = wandering
        .into_iter()
        .map(|(page, rng)| tokio::spawn(wander(page, websockets.clone(), rng, Arc::clone(&done))))
        .collect();
    let is_pushed = Arc::new(AtomicBool::new(false));
    let pushing = tokio::spawn({
        let (mut php, uids, is_pushed) = (php(&nodes, 1).await?, uids.clone(), Arc::clone(&is_pushed));
        async move {
            let mut round = 0;
            while !is_pushed.load(Ordering::Relaxed) {
                for uid in &uids {
                    php.send_to_uid(uid, &round.to_string()).await?;
                }
                php.confirmed().await?;
                round += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok((php, round))
        }
    });
    for _ in 0..rounds() {
        for node in 0..NODES {
            nodes.upgrade(node).await?;
        }
    }
    done.store(true, Ordering::Relaxed);
    is_pushed.store(true, Ordering::Relaxed);
    let (_, round) = pushing.await??;
    let mut moves = 0;
    for one in wandering {
        let (mut page, moved) = one.await??;
        moves += moved;
        for number in 0..round {
            assert_eq!(page.text().await?, number.to_string());
        }
    }
    println!("{moves} moves, {round} messages to each page");
    Ok(())
}
