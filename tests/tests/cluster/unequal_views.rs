//! Pages that come back at another node while one of the nodes does not know a third one.

use std::collections::BTreeMap;

use anyhow::Context as _;
use gateway_tests::{DeafWay, PATIENCE, PhpPeer, ResumingPage, eventually};
use gateway_wire::bridge::AnswerValue;
use gateway_wire::client_protocol::Opened;

use super::coming_back::{join, send_to_group};
use super::operated_nodes::OperatedNodes;

/// The number of times that a page is asked to try again before the nodes hear each other.
const REFUSALS: usize = 3;

/// PHP at each node, which pushes numbered messages to the page in several ways.
struct Publishers {
    php: Vec<PhpPeer>,
    last: usize,
}

impl Publishers {
    /// Pushes one message at each node.
    async fn push(&mut self) -> anyhow::Result<()> {
        self.last += 1;
        for (node, php) in self.php.iter_mut().enumerate() {
            let text = format!("{node} {}", self.last);
            match (node + self.last) % 3 {
                0 => php.send_to_uid("alice", &text).await?,
                1 => send_to_group(php, "room", vec![], &text).await?,
                _ => php.send_to_all(&text).await?,
            }
            php.acked().await?;
        }
        Ok(())
    }

    /// Reads until the last message of each node has come, and checks that each has come once and in order.
    async fn have_all_arrived(&self, page: &mut ResumingPage) -> anyhow::Result<()> {
        let mut taken: BTreeMap<usize, usize> = (0..self.php.len()).map(|node| (node, 0)).collect();
        while taken.values().any(|number| *number < self.last) {
            let text = page.text().await?;
            let (node, number) = text.split_once(' ').context("a node")?;
            let before = taken.insert(node.parse()?, number.parse()?);
            anyhow::ensure!(
                before.map(|before| before + 1) == Some(number.parse()?),
                "{text} behind {before:?}"
            );
        }
        Ok(())
    }
}

/// A page of the node `from` comes back at the node `to`, while the node `deaf` knows nothing of node 2.
async fn comes_back(test: &str, deaf: usize, from: usize, to: usize) -> anyhow::Result<()> {
    let flags = ["--cluster-timeout", "1"];
    let Some(mut nodes) = OperatedNodes::start(test, 0, &flags).await? else { return Ok(()) };
    let way = DeafWay::to(nodes.nats.address).await?;
    for node in 0..2 {
        let nats = if node == deaf { way.address } else { nodes.nats.address };
        nodes.all.add_by(nats).await?;
    }
    let hearing = 1 - deaf;
    for node in 0..2 {
        let others = async || nodes.metric(node, "gateway_cluster_nodes").await;
        eventually("the other node is known", 2.0, others).await?;
    }
    way.hear_no_others();
    nodes.all.add().await?;
    let others = async |node| nodes.metric(node, "gateway_cluster_nodes").await;
    eventually("the third node is known", 3.0, async || others(hearing).await).await?;

    let mut php = Vec::new();
    for node in 0..3 {
        php.push(nodes.php(node).await?);
    }
    let mut page = ResumingPage::connected(nodes.nodes[from].server.websocket).await?;
    php[from].bind(page.id()?, "alice").await?;
    join(&mut php[from], page.id()?, "room").await?;
    php[from].acked().await?;
    page.reset()?;

    let mut publishers = Publishers { php, last: 0 };
    let websocket = nodes.nodes[to].server.websocket;
    for _ in 0..REFUSALS {
        publishers.push().await?;
        let refused = page.connect(websocket).await;
        let error = refused.err().map(|error| error.to_string()).unwrap_or_default();
        anyhow::ensure!(
            error.contains("Again"),
            "{error:?} instead of a close with 1013; {:?}",
            page.opened.last()
        );
    }
    assert_eq!(others(deaf).await?, 2.0, "nobody has told it of the third node");

    way.hear_all();
    let start = std::time::Instant::now();
    publishers.push().await?;
    while let Err(error) = page.connect(websocket).await {
        anyhow::ensure!(start.elapsed() < PATIENCE, "{error}");
        publishers.push().await?;
    }
    anyhow::ensure!(matches!(page.outcome(), Opened::Recovered { .. }), "{:?}", page.outcome());
    publishers.push().await?;
    publishers.have_all_arrived(&mut page).await?;
    for php in &mut publishers.php {
        assert_eq!(php.clients_of("alice").await?, [page.id()?]);
        assert_eq!(php.count().await?, AnswerValue::Int(1));
    }
    Ok(())
}

#[tokio::test]
async fn a_page_misses_nothing_when_its_new_node_does_not_know_another() -> anyhow::Result<()> {
    comes_back("a_page_misses_nothing_when_its_new_node_does_not_know_another", 1, 0, 1).await
}

#[tokio::test]
async fn a_page_misses_nothing_when_its_old_node_does_not_know_another() -> anyhow::Result<()> {
    comes_back("a_page_misses_nothing_when_its_old_node_does_not_know_another", 0, 0, 1).await
}

#[tokio::test]
async fn a_page_misses_nothing_when_its_new_node_is_not_known_to_all() -> anyhow::Result<()> {
    comes_back("a_page_misses_nothing_when_its_new_node_is_not_known_to_all", 1, 0, 2).await
}

#[tokio::test]
async fn a_page_misses_nothing_when_its_old_node_does_not_know_its_new_one() -> anyhow::Result<()> {
    comes_back("a_page_misses_nothing_when_its_old_node_does_not_know_its_new_one", 0, 0, 2).await
}

#[tokio::test]
async fn a_page_misses_nothing_when_its_new_node_does_not_know_its_old_one() -> anyhow::Result<()> {
    comes_back("a_page_misses_nothing_when_its_new_node_does_not_know_its_old_one", 1, 2, 1).await
}
