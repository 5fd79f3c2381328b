//! A cluster in a network namespace, where the packets between a node and NATS get lost and nobody is told.
//!
//! Each node reaches NATS by an address of its own: once that is removed, neither packets nor answers arrive.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use gateway_tests::{Client, Nats, PhpPeer, SECRET, Server, eventually, in_own_network, new_producer, soon};
use gateway_wire::bridge::{AnswerValue, Query};
use nix::sys::signal::Signal;
use tokio::process::Command;

struct Node {
    way: String,
    server: Server,
}

impl Node {
    async fn server(number: usize, nats: SocketAddr, flags: &[&str]) -> anyhow::Result<Server> {
        Server::start_with(|command| {
            command
                .args(["--cluster-nats", &format!("nats://{}:{}", way(number), nats.port())])
                .args(flags)
                .env("GATEWAY_SECRET_KEY", SECRET);
        })
        .await
    }

    async fn cut(&self) -> anyhow::Result<()> {
        ip("del", &self.way).await
    }

    async fn mend(&self) -> anyhow::Result<()> {
        ip("add", &self.way).await
    }

    async fn php(&self) -> anyhow::Result<PhpPeer> {
        PhpPeer::connect_as(self.server.register[0], new_producer(), SECRET.as_bytes()).await
    }

    /// Connects a client to this node, and binds it to a uid.
    async fn page(&self, uid: &str) -> anyhow::Result<Client> {
        let client = Client::connect(self.server.websocket).await?;
        let mut php = self.php().await?;
        php.bind(client.id, uid).await?;
        php.acked().await?;
        Ok(client)
    }
}

/// Starts NATS and three nodes, each with an address of its own for NATS. Without NATS the test is reported as skipped, and
/// this gives `None`.
async fn three_nodes(test: &str, flags: &[&str]) -> anyhow::Result<Option<(Nats, Vec<Node>)>> {
    for number in 0..3 {
        ip("add", &way(number)).await?;
    }
    let Some(nats) = Nats::start_with(test, &["-a", "0.0.0.0"]).await? else { return Ok(None) };
    let mut nodes = Vec::new();
    for number in 0..3 {
        nodes.push(Node { way: way(number), server: Node::server(number, nats.address, flags).await? });
    }
    Ok(Some((nats, nodes)))
}

fn way(number: usize) -> String {
    format!("10.77.0.{}", number + 1)
}

async fn ip(word: &str, address: &str) -> anyhow::Result<()> {
    let done = Command::new("ip").args(["address", word, &format!("{address}/32"), "dev", "lo"]).status();
    ensure!(soon("ip", done).await??.success(), "ip address {word} {address}");
    Ok(())
}

/// A PHP process that pushes increasing numbers, five at a time.
struct Counter {
    php: PhpPeer,
    last: u64,
}

impl Counter {
    async fn push_for(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < until {
            self.push().await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn push(&mut self) -> anyhow::Result<()> {
        for _ in 0..5 {
            self.last += 1;
            self.php.send_to_uid("ann", &self.last.to_string()).await?;
        }
        self.php.acked().await
    }
}

/// Reads up to the number `last`, checks that the numbers increase, and gives how many were left out.
async fn read_up_to(page: &mut Client, before: u64, last: u64) -> anyhow::Result<u64> {
    let (mut reached, mut gaps) = (before, 0);
    while reached < last {
        let number: u64 = page.text().await?.parse()?;
        ensure!(number > reached, "{number} came after {reached}");
        gaps += number - reached - 1;
        reached = number;
    }
    Ok(gaps)
}

async fn clients(php: &mut PhpPeer) -> anyhow::Result<AnswerValue> {
    php.ask(Query::ClientCount {}).await
}

#[test]
fn nothing_is_lost_on_a_way_that_loses_packets_for_a_while() -> anyhow::Result<()> {
    let test = "nothing_is_lost_on_a_way_that_loses_packets_for_a_while";
    in_own_network(test, async || {
        let Some((_nats, nodes)) = three_nodes(test, &[]).await? else { return Ok(()) };
        let mut pages = [nodes[1].page("ann").await?, nodes[2].page("ann").await?];
        let mut php = nodes[0].php().await?;
        eventually("all are seen", AnswerValue::Int(2), async || clients(&mut php).await).await?;
        let mut counter = Counter { php: nodes[0].php().await?, last: 0 };
        let mut before = 0;
        // First the way of a receiver is cut, then that of the sender, and then all three at once.
        for cut in [&[1][..], &[0], &[0, 1, 2]] {
            counter.push_for(Duration::from_millis(200)).await?;
            for node in cut {
                nodes[*node].cut().await?;
            }
            counter.push_for(Duration::from_millis(1500)).await?;
            for node in cut {
                nodes[*node].mend().await?;
            }
            counter.push_for(Duration::from_millis(200)).await?;
            for page in &mut pages {
                assert_eq!(read_up_to(page, before, counter.last).await?, 0, "{cut:?}");
            }
            before = counter.last;
        }
        Ok(())
    })
}

#[test]
fn a_partition_is_noticed_and_ends() -> anyhow::Result<()> {
    let test = "a_partition_is_noticed_and_ends";
    in_own_network(test, async || {
        let Some((nats, mut nodes)) = three_nodes(test, &["--cluster-timeout", "1"]).await? else {
            return Ok(());
        };
        let mut here = nodes[0].page("ann").await?;
        let mut there = nodes[2].page("ann").await?;
        let mut php = nodes[0].php().await?;
        let mut php_there = nodes[2].php().await?;
        eventually("both are seen", AnswerValue::Int(2), async || clients(&mut php).await).await?;

        nodes[2].cut().await?;
        // The query fails, because an answer without the third node would not be whole.
        let refused = clients(&mut php).await.err().context("an answer without the third node")?;
        let register = nodes[2].server.register[0];
        ensure!(refused.to_string().contains(&format!("no answer from node {register}")), "{refused}");
        nodes[0].server.logs("has been silent for too long").await?;
        assert_eq!(clients(&mut php).await?, AnswerValue::Int(1));
        nodes[2].server.logs("no connection to NATS").await?;
        // Both sides of the partition go on serving their own clients.
        let mut counter = Counter { php: nodes[0].php().await?, last: 0 };
        counter.push().await?;
        assert_eq!(read_up_to(&mut here, 0, counter.last).await?, 0);
        php_there.send_to_uid("ann", "1000").await?;
        php_there.acked().await?;
        assert_eq!(there.text().await?, "1000");

        nodes[2].mend().await?;
        eventually("both are seen again", AnswerValue::Int(2), async || clients(&mut php).await).await?;
        // Messages from the other side of the partition may come late or not at all, but none comes twice, and each sender's
        // come in order.
        assert_eq!(soon("the other side's push", here.text()).await??, "1000");
        counter.last = 2000;
        counter.push().await?;
        for (page, before) in [(&mut here, 1000), (&mut there, 0)] {
            read_up_to(page, before, counter.last).await?;
        }

        // Now a node dies while the others cannot see it.
        nodes[2].cut().await?;
        nodes[2].server.signal(Signal::SIGKILL)?;
        nodes[0].server.logs("has been silent for too long").await?;
        assert_eq!(clients(&mut php).await?, AnswerValue::Int(1));
        nodes[2].mend().await?;
        nodes[2].server = Node::server(2, nats.address, &["--cluster-timeout", "1"]).await?;
        let mut again = nodes[2].page("ann").await?;
        eventually("the new one is seen", AnswerValue::Int(2), async || clients(&mut php).await).await?;
        let before = counter.last;
        counter.push().await?;
        assert_eq!(read_up_to(&mut again, before, counter.last).await?, 0);
        Ok(())
    })
}
