//! Messages of which PHP is told how many clients have taken them, and for how many they wait.

use gateway_tests::{Client, PhpPeer, ResumingPage, TrackedSend, eventually};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query};
use serde_bytes::Bytes;

use crate::resume::{parked, start};

fn bytes(text: &str) -> &Bytes {
    Bytes::new(text.as_bytes())
}

/// Sends a message to uids, and gives how many clients have taken it, for how many it waits, and how many have gone.
async fn to_uids(php: &mut PhpPeer, id: u64, uids: &[&str], message: &str) -> anyhow::Result<[i64; 3]> {
    php.order(TrackedSend { uids, ..TrackedSend::default() }.order(id, message)).await?;
    delivered(php, id).await
}

async fn delivered(php: &mut PhpPeer, id: u64) -> anyhow::Result<[i64; 3]> {
    let AnswerValue::Map(fields) = php.ask(Query::Delivered { id }).await? else { anyhow::bail!("no map") };
    let named = |name: &str| {
        let name = AnswerValue::Str(name.as_bytes().to_vec());
        fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
    };
    assert_eq!(named("silent"), Some(AnswerValue::List(vec![])));
    let count = |name| match named(name) {
        Some(AnswerValue::Int(count)) => Ok(count),
        other => Err(anyhow::anyhow!("{name}: {other:?}")),
    };
    Ok([count("taken")?, count("waiting")?, count("gone")?])
}

async fn group(php: &mut PhpPeer, id: u64, groups: &[&str], except: &[ClientId]) -> anyhow::Result<[i64; 3]> {
    let to = TrackedSend { groups, except, ..TrackedSend::default() };
    php.order(to.order(id, "to the group")).await?;
    delivered(php, id).await
}

#[tokio::test]
async fn clients_that_are_here_away_slow_and_gone_are_told_apart() -> anyhow::Result<()> {
    let (server, mut php) = start(&["--shards", "2", "--outbox-timeout", "60"]).await?;
    assert_eq!(to_uids(&mut php, 1, &["nobody"], "x").await?, [0, 0, 0]);
    let mut here = Client::connect(server.websocket).await?;
    php.bind(here.id, "ann").await?;
    assert_eq!(to_uids(&mut php, 2, &["ann", "ann", "nobody"], "hello").await?, [1, 0, 0]);
    assert_eq!(here.text().await?, "hello");

    let mut page = ResumingPage::connected(server.websocket).await?;
    php.bind(page.id()?, "ann").await?;
    assert_eq!(to_uids(&mut php, 3, &["ann"], "both").await?, [2, 0, 0]);
    assert_eq!((here.text().await?.as_str(), page.text().await?.as_str()), ("both", "both"));
    page.reset()?;
    parked(&server, 1).await?;
    assert_eq!(to_uids(&mut php, 4, &["ann"], "later").await?, [1, 1, 0]);
    // What waited has been taken once the page is back, and what is asked again is answered as it is now.
    page.connect(server.websocket).await?;
    assert_eq!(page.text().await?, "later");
    assert_eq!(delivered(&mut php, 4).await?, [2, 0, 0]);
    assert_eq!(delivered(&mut php, 2).await?, [1, 0, 0]);

    // A client that reads nothing has its message waiting here once the kernel takes no more.
    let slow = Client::connect(server.websocket).await?;
    php.bind(slow.id, "slow").await?;
    let large = "x".repeat(1 << 20);
    let mut taken = to_uids(&mut php, 100, &["slow"], &large).await?;
    for number in 101..120 {
        if taken == [0, 1, 0] {
            break;
        }
        assert_eq!(taken, [1, 0, 0]);
        taken = to_uids(&mut php, number, &["slow"], &large).await?;
    }
    assert_eq!(taken, [0, 1, 0]);
    drop(slow);
    eventually("the slow one is gone", [0, 0, 1], async || delivered(&mut php, 100).await).await?;
    Ok(())
}

#[tokio::test]
async fn a_member_of_two_groups_gets_a_counted_message_once() -> anyhow::Result<()> {
    let (server, mut php) = start(&["--shards", "2"]).await?;
    let mut clients = Vec::new();
    for number in 0..20 {
        let client = Client::connect(server.websocket).await?;
        let id = client.id;
        php.order(Order::JoinGroup { client: id, group: bytes("red") }).await?;
        if number % 2 == 0 {
            php.order(Order::JoinGroup { client: id, group: bytes("blue") }).await?;
        }
        clients.push(client);
    }
    let left_out = clients[0].id;
    assert_eq!(group(&mut php, 7, &["red", "blue", "green"], &[left_out]).await?, [19, 0, 0]);
    php.send_to_all("end").await?;
    php.acked().await?;
    for (number, client) in clients.iter_mut().enumerate() {
        if number > 0 {
            assert_eq!(client.text().await?, "to the group");
        }
        assert_eq!(client.text().await?, "end");
    }
    Ok(())
}

#[tokio::test]
async fn an_order_that_is_sent_again_is_counted_once_and_what_is_forgotten_is_an_error() -> anyhow::Result<()>
{
    let (server, mut php) = start(&[]).await?;
    let mut client = Client::connect(server.websocket).await?;
    php.bind(client.id, "ann").await?;
    php.acked().await?;
    let producer = gateway_tests::new_producer();
    let mut first = PhpPeer::connect_as(server.register[0], producer, b"").await?;
    assert_eq!(to_uids(&mut first, 9, &["ann"], "once").await?, [1, 0, 0]);
    // The connection is lost, and PHP sends the order again, with the same number, and asks again.
    drop(first);
    let mut again = PhpPeer::connect_as(server.register[0], producer, b"").await?;
    again.seq = 0;
    assert_eq!(to_uids(&mut again, 9, &["ann"], "once").await?, [1, 0, 0]);
    php.send_to_uid("ann", "end").await?;
    assert_eq!((client.text().await?.as_str(), client.text().await?.as_str()), ("once", "end"));
    let unknown = again.ask(Query::Delivered { id: 1234 }).await.unwrap_err().to_string();
    assert!(unknown.contains("not known any more"), "{unknown}");
    Ok(())
}
