//! Questions of PHP that a real page answers, by the event `ask` of the browser client.

use gateway_tests::{OutageProxy, PhpPeer, eventually};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query};
use serde_json::json;

use crate::browser_client::{FAST, Stage};

/// A time in milliseconds that no test waits for.
const LONG: u32 = 60_000;

/// What the page does with each question, by its text.
const ANSWERS: &str = "
    window.again = [];
    gateway.addEventListener('ask', (event) => {
        const {data, reply} = event;
        ({
            text: () => reply('gateway:= as it is'),
            object: () => reply({a: [1, 'ü']}),
            twice: () => again.push(reply('first'), reply('second')),
            later: () => again.push(reply(new Promise((resolve) => { window.resolve = resolve; })), reply('sooner')),
            fails: () => {
                gateway.addEventListener('error', (error) => again.push(error.where, error.message));
                reply(Promise.reject(new Error('no answer today')));
            },
            held: () => { window.held = reply; },
        })[data]?.();
    });
";

async fn ask(php: &mut PhpPeer, id: u64, client: ClientId, question: &str) -> anyhow::Result<()> {
    php.ask_page(id, client, question).await?;
    php.acked().await
}

/// The answer of the one client that was asked, or null.
async fn reply(php: &mut PhpPeer, id: u64, wait: u32) -> anyhow::Result<AnswerValue> {
    match php.ask(Query::Replies { id, wait }).await? {
        AnswerValue::Map(mut replies) if replies.len() == 1 => Ok(replies.remove(0).1),
        other => anyhow::bail!("{other:?} instead of one reply"),
    }
}

fn said(text: &str) -> AnswerValue {
    AnswerValue::Str(text.as_bytes().to_vec())
}

#[tokio::test]
async fn a_page_answers_each_question_once() -> anyhow::Result<()> {
    let stage = Stage::set(&[]).await?;
    let mut php = stage.peer().await?;
    let proxy = OutageProxy::start(stage.server.websocket).await?;
    let page = stage.page("/module").await?;
    page.start(proxy.address, &format!("{{{FAST}}}")).await?;
    page.has(1, json!({"event": "open"})).await?;
    let connected = async || Ok(page.run("return gateway.clientId !== null").await? == json!(true));
    eventually("an init", true, connected).await?;
    let client: ClientId = page.run("return gateway.clientId").await?.as_str().unwrap_or_default().parse()?;
    page.run(ANSWERS).await?;

    for (id, question, answer) in
        [(1, "text", "gateway:= as it is"), (2, "object", r#"{"a":[1,"ü"]}"#), (3, "twice", "first")]
    {
        ask(&mut php, id, client, question).await?;
        assert_eq!(reply(&mut php, id, LONG).await?, said(answer), "{question}");
    }
    assert_eq!(page.run("return again.splice(0)").await?, json!([true, false]));

    // A promise is the answer once it is kept, and none if it is broken.
    ask(&mut php, 4, client, "later").await?;
    eventually("a promise", json!("function"), async || page.run("return typeof window.resolve").await)
        .await?;
    assert_eq!(reply(&mut php, 4, 0).await?, AnswerValue::Null);
    page.run("resolve('kept')").await?;
    assert_eq!(reply(&mut php, 4, LONG).await?, said("kept"));
    assert_eq!(page.run("return again.splice(0)").await?, json!([true, false]));
    ask(&mut php, 5, client, "fails").await?;
    eventually("an error", json!(["ask", "no answer today"]), async || page.run("return again").await)
        .await?;
    assert_eq!(reply(&mut php, 5, 0).await?, AnswerValue::Null);

    // An answer that is given while the page is away goes out when it is back, as the same client.
    ask(&mut php, 6, client, "held").await?;
    eventually("the question", json!("function"), async || page.run("return typeof window.held").await)
        .await?;
    let away = async || page.run("return gateway.state !== 'open'").await;
    proxy.take_down();
    eventually("the page is away", json!(true), away).await?;
    assert_eq!(page.run("return held('from afar')").await?, json!(true));
    proxy.restore();
    page.has(1, json!({"event": "recovered"})).await?;
    assert_eq!(reply(&mut php, 6, LONG).await?, said("from afar"));

    // A question that comes while the page is away is there when it is back. Nobody answers for a client that has gone.
    proxy.take_down();
    eventually("the page is away", json!(true), away).await?;
    page.run("delete window.held").await?;
    ask(&mut php, 7, client, "text").await?;
    ask(&mut php, 8, client, "held").await?;
    proxy.restore();
    assert_eq!(reply(&mut php, 7, LONG).await?, said("gateway:= as it is"));
    eventually("the question", json!("function"), async || page.run("return typeof window.held").await)
        .await?;
    php.order(Order::Destroy { client }).await?;
    php.acked().await?;
    page.has(1, json!({"event": "gap"})).await?;
    assert_eq!(page.run("return held('too late')").await?, json!(false));
    assert_eq!(reply(&mut php, 8, LONG).await?, AnswerValue::Null);
    Ok(())
}
