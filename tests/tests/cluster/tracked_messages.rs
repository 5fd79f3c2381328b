//! Counted messages and questions over all nodes of a cluster.

use std::time::Duration;

use gateway_tests::{Nodes, ResumingPage, TrackedSend, eventually, soon};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query};
use nix::sys::signal::Signal;

fn string(text: &str) -> AnswerValue {
    AnswerValue::Str(text.as_bytes().to_vec())
}

fn counts(taken: i64, waiting: i64, silent: &[String]) -> AnswerValue {
    AnswerValue::Map(vec![
        (string("taken"), AnswerValue::Int(taken)),
        (string("waiting"), AnswerValue::Int(waiting)),
        (string("gone"), AnswerValue::Int(0)),
        (string("silent"), AnswerValue::List(silent.iter().map(|node| string(node)).collect())),
    ])
}

fn order<'a>(
    id: u64,
    message: &'a str,
    uids: &'a [&'a str],
    client: Option<ClientId>,
    asks: bool,
) -> Order<'a> {
    TrackedSend { client, uids, asks, ..TrackedSend::default() }.order(id, message)
}

/// What a client is given as in the answer to a question.
fn reply(client: ClientId, reply: Option<&str>) -> (AnswerValue, AnswerValue) {
    (AnswerValue::Str(client.to_bytes().to_vec()), reply.map_or(AnswerValue::Null, string))
}

fn sorted(replies: AnswerValue) -> anyhow::Result<Vec<(AnswerValue, AnswerValue)>> {
    let AnswerValue::Map(mut replies) = replies else { anyhow::bail!("{replies:?} is no map") };
    replies.sort_by_key(|(client, _)| format!("{client:?}"));
    Ok(replies)
}

#[tokio::test]
async fn clients_of_all_nodes_are_counted_and_asked() -> anyhow::Result<()> {
    const TEST: &str = "clients_of_all_nodes_are_counted_and_asked";
    let Some(nodes) = Nodes::start(TEST, 3, &["--cluster-timeout", "1.5"]).await? else { return Ok(()) };
    let mut php = nodes.php(0).await?;
    let mut pages = Vec::new();
    for node in &nodes.nodes {
        let page = ResumingPage::connected(node.server.websocket).await?;
        php.bind(page.id()?, "ann").await?;
        pages.push(page);
    }
    let plain = nodes.client(2).await?;
    php.bind(plain.id, "bob").await?;
    eventually("all are bound", 3, async || Ok::<_, anyhow::Error>(php.clients_of("ann").await?.len()))
        .await?;
    php.order(order(1, "hello", &["ann", "bob", "nobody"], None, false)).await?;
    assert_eq!(php.ask(Query::Delivered { id: 1 }).await?, counts(4, 0, &[]));
    for page in &mut pages {
        assert_eq!(page.text().await?, "hello");
    }
    let there = pages[2].id()?;
    php.order(order(2, "to one", &[], Some(there), false)).await?;
    assert_eq!(php.ask(Query::Delivered { id: 2 }).await?, counts(1, 0, &[]));
    assert_eq!(pages[2].text().await?, "to one");

    // Pages of other nodes may take longer than nodes wait for each other.
    let ids = pages.iter().map(ResumingPage::id).collect::<Result<Vec<_>, _>>()?;
    php.order(order(3, "well?", &["ann", "bob"], None, true)).await?;
    let waiting = tokio::spawn(async move { (php.ask(Query::Replies { id: 3, wait: 60_000 }).await, php) });
    for (number, page) in pages.iter_mut().enumerate() {
        let (id, _) = page.question().await?;
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert!(!waiting.is_finished());
        page.answer(id, &number.to_string()).await?;
    }
    let (replies, mut php) = soon("the answers", waiting).await??;
    let mut expected: Vec<_> =
        ["0", "1", "2"].iter().zip(&ids).map(|(said, id)| reply(*id, Some(said))).collect();
    expected.push(reply(plain.id, None));
    assert_eq!(sorted(replies?)?, sorted(AnswerValue::Map(expected))?);

    // A node that hangs is named, and the others are counted all the same.
    nodes.nodes[2].server.signal(Signal::SIGSTOP)?;
    let hangs = nodes.nodes[2].server.register[0].to_string();
    php.order(order(4, "again", &["ann", "bob"], None, false)).await?;
    assert_eq!(php.ask(Query::Delivered { id: 4 }).await?, counts(2, 0, &[hangs]));
    nodes.nodes[2].server.signal(Signal::SIGCONT)?;
    assert_eq!(pages[2].text().await?, "again");
    Ok(())
}
