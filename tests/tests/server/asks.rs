//! Questions to pages: each page that was asked answers once, and who cannot answer is not waited for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use gateway_tests::{Client, PhpPeer, ResumingPage, TrackedSend, eventually, soon};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Query};
use gateway_wire::client_protocol::AskId;

use crate::resume::{parked, start};

/// A time that no test waits for.
const LONG: u32 = 60_000;

type Replies = BTreeMap<ClientId, Option<String>>;

async fn ask_uid(php: &mut PhpPeer, id: u64, uid: &str, question: &str) -> anyhow::Result<()> {
    let to = TrackedSend { uids: &[uid], asks: true, ..TrackedSend::default() };
    php.order(to.order(id, question)).await.map(drop)
}

async fn replies(php: &mut PhpPeer, id: u64, wait: u32) -> anyhow::Result<Replies> {
    let AnswerValue::Map(replies) = php.ask(Query::Replies { id, wait }).await? else { bail!("no map") };
    replies
        .into_iter()
        .map(|entry| match entry {
            (AnswerValue::Str(client), reply) => {
                let Ok(client) = client.try_into() else { bail!("no client_id") };
                let reply = match reply {
                    AnswerValue::Str(reply) => Some(String::from_utf8(reply)?),
                    AnswerValue::Null => None,
                    other => bail!("{other:?} is no reply"),
                };
                Ok((ClientId::from_bytes(client), reply))
            }
            other => bail!("{other:?} in the answer"),
        })
        .collect()
}

fn said(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test]
async fn all_pages_of_a_uid_answer_and_plain_clients_are_not_waited_for() -> anyhow::Result<()> {
    let (server, mut php) = start(&["--shards", "2"]).await?;
    ask_uid(&mut php, 1, "ann", "is anybody there?").await?;
    assert_eq!(replies(&mut php, 1, LONG).await?, Replies::new());
    let mut plain = Client::connect(server.websocket).await?;
    php.bind(plain.id, "ann").await?;
    ask_uid(&mut php, 2, "ann", "and who cannot answer?").await?;
    assert_eq!(replies(&mut php, 2, LONG).await?, Replies::from([(plain.id, None)]));

    let (mut one, mut two) =
        (ResumingPage::connected(server.websocket).await?, ResumingPage::connected(server.websocket).await?);
    let ids = [one.id()?, two.id()?];
    for id in ids {
        php.bind(id, "ann").await?;
    }
    ask_uid(&mut php, 3, "ann", "gateway:= is no escape here").await?;
    let waiting = tokio::spawn(async move { (replies(&mut php, 3, LONG).await, php) });
    let (id, question) = one.question().await?;
    assert_eq!((id, question.as_str()), (AskId(3), "gateway:= is no escape here"));
    one.answer(id, "one").await?;
    one.answer(id, "one again").await?;
    assert_eq!(two.question().await?, (id, question));
    assert!(!waiting.is_finished());
    // Somebody else who has found the number cannot answer.
    let mut stranger = ResumingPage::connected(server.websocket).await?;
    stranger.answer(id, "stranger").await?;
    two.answer(id, "").await?;
    let (answered, mut php) = waiting.await?;
    let expected = Replies::from([(ids[0], said("one")), (ids[1], said("")), (plain.id, None)]);
    assert_eq!(answered?, expected);
    // PHP may ask again, and gets the same answers.
    assert_eq!(replies(&mut php, 3, LONG).await?, expected);
    php.send_to_all("end").await?;
    assert_eq!((plain.text().await?.as_str(), one.text().await?.as_str()), ("end", "end"));
    Ok(())
}

#[tokio::test]
async fn who_goes_or_is_late_or_never_answers_is_null() -> anyhow::Result<()> {
    let (server, mut php) = start(&["--shards", "2"]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let mut silent = ResumingPage::connected(server.websocket).await?;
    let (id, silent_id) = (page.id()?, silent.id()?);
    let start = Instant::now();
    php.ask_page(1, silent_id, "well?").await?;
    assert_eq!(replies(&mut php, 1, 50).await?, Replies::from([(silent_id, None)]));
    assert!(start.elapsed() >= Duration::from_millis(50));
    // The answer that comes too late is there for who asks again.
    let (late, _) = silent.question().await?;
    silent.answer(late, "sorry").await?;
    eventually("the late answer", said("sorry"), async || {
        Ok::<_, anyhow::Error>(replies(&mut php, 1, 0).await?[&silent_id].clone())
    })
    .await?;

    // A page that is cut answers when it is back: both the question and its answer outlive connections.
    php.ask_page(2, id, "are you there?").await?;
    php.acked().await?;
    page.reset()?;
    parked(&server, 1).await?;
    let waiting = tokio::spawn(async move { (replies(&mut php, 2, LONG).await, php) });
    page.connect(server.websocket).await?;
    let (asked, question) = page.question().await?;
    assert_eq!(question, "are you there?");
    page.reset()?;
    page.answer(asked, "I was away").await?;
    page.connect(server.websocket).await?;
    let (answered, mut php) = soon("the answer", waiting).await??;
    assert_eq!(answered?, Replies::from([(id, said("I was away"))]));

    // One that leaves for good is not waited for, and neither is one that is not here any more.
    php.ask_page(3, id, "still there?").await?;
    php.acked().await?;
    let waiting = tokio::spawn(async move { (replies(&mut php, 3, LONG).await, php) });
    page.close(1000).await?;
    let (answered, mut php) = soon("the end of the wait", waiting).await??;
    assert_eq!(answered?, Replies::from([(id, None)]));
    php.ask_page(4, id, "and now?").await?;
    assert_eq!(replies(&mut php, 4, LONG).await?, Replies::from([(id, None)]));
    Ok(())
}

#[tokio::test]
async fn a_question_to_too_many_is_refused_and_bad_answers_end_the_connection() -> anyhow::Result<()> {
    let (server, mut php) = start(&["--shards", "2"]).await?;
    let mut pages = Vec::new();
    for _ in 0..1001 {
        let page = ResumingPage::connected(server.websocket).await?;
        php.bind(page.id()?, "many").await?;
        pages.push(page);
        if pages.len() % 100 == 0 {
            php.acked().await?;
        }
    }
    php.acked().await?;
    ask_uid(&mut php, 1, "many", "too many").await?;
    let refused = php.acked().await.unwrap_err().to_string();
    assert!(refused.contains("1000 clients at most, and this one concerns 1001"), "{refused}");
    php.acked().await?;
    pages[1000].close(1000).await?;
    pages.pop();
    eventually("a thousand", 1000, async || anyhow::Ok(php.clients_of("many").await?.len())).await?;
    ask_uid(&mut php, 2, "many", "all of you").await?;
    let waiting = tokio::spawn(async move { replies(&mut php, 2, LONG).await });
    for page in &mut pages {
        let (id, question) = page.question().await?;
        page.answer(id, &question).await?;
    }
    let answered = soon("a thousand answers", waiting).await???;
    assert_eq!(answered.len(), 1000);
    assert!(answered.values().all(|reply| *reply == said("all of you")));
    for malformed in ["gateway:=answer 1 x", "gateway:=answer 0000000000000001"] {
        let mut page = ResumingPage::connected(server.websocket).await?;
        page.say(malformed).await?;
        assert_eq!(page.closed().await?.0, 1002);
    }
    Ok(())
}

#[tokio::test]
async fn an_upgrade_does_not_wait_for_pages_that_are_asked() -> anyhow::Result<()> {
    let (mut server, mut php) = start(&[]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    php.ask_page(1, page.id()?, "will you outlive it?").await?;
    php.acked().await?;
    let id = page.id()?;
    let (asked, _) = page.question().await?;
    let waiting = tokio::spawn(async move { replies(&mut php, 1, LONG).await });
    let start = Instant::now();
    server.upgrade().await?;
    assert!(start.elapsed() < Duration::from_secs(10));
    // PHP's link comes again and asks again, and the page answers to the process that serves now.
    soon("the end of the connection", waiting).await??.unwrap_err();
    let mut php = PhpPeer::connect(server.register[0]).await?;
    page.answer(asked, "yes").await?;
    assert_eq!(replies(&mut php, 1, LONG).await?, Replies::from([(id, said("yes"))]));
    Ok(())
}
