//! What `Gateway::sendToUidCounted`, `Gateway::sendToGroupCounted` and `Gateway::ask` tell a real PHP process.

use gateway_tests::{Client, Operator, PhpCalls, ResumingPage, Server, eventually, soon};
use serde_json::{Value, json};

fn counts(taken: u64, waiting: u64, gone: u64) -> Value {
    json!({"taken": taken, "waiting": waiting, "gone": gone, "silent": []})
}

#[tokio::test]
async fn counted_sends_and_questions() -> anyhow::Result<()> {
    let server = Server::start(&["--operations", "127.0.0.1:0", "--shards", "2"]).await?;
    let operator = Operator::of(&server)?;
    let mut php = PhpCalls::start(server.register[0], "")?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let mut plain = Client::connect(server.websocket).await?;
    let (id, plain_id) = (page.id()?.to_string(), plain.id.to_string());
    for client in [&id, &plain_id] {
        php.get(json!(["bindUid", client, 7])).await?;
        php.get(json!(["joinGroup", client, "red"])).await?;
    }
    assert_eq!(php.get(json!(["sendToUidCounted", [7, 8], {"n": 1}])).await?, counts(2, 0, 0));
    assert_eq!(php.get(json!(["sendToGroupCounted", "red", "x", plain_id])).await?, counts(1, 0, 0));
    assert_eq!(php.get(json!(["sendToGroupCounted", ["red", "blue"], "y"])).await?, counts(2, 0, 0));
    assert_eq!(php.get(json!(["sendToUidCounted", 9, "z"])).await?, counts(0, 0, 0));
    for expected in [r#"{"n":1}"#, "x", "y"] {
        assert_eq!(page.text().await?, expected);
    }

    // A question is answered while the one PHP process waits.
    let asked = tokio::spawn(async move { (php.get(json!(["ask", 7, {"q": "?"}])).await, php) });
    let (question, text) = page.question().await?;
    assert_eq!(text, r#"{"q":"?"}"#);
    page.answer(question, "forty-two \u{1f600}").await?;
    let (answers, mut php) = soon("PHP's answers", asked).await??;
    assert_eq!(answers?, json!({id.clone(): "forty-two \u{1f600}", plain_id.clone(): null}));

    // Who does not answer is waited for as long as PHP says, which $connectTimeout does not cut short.
    let silent = php.call(json!(["ask", id, "well?", 0.2])).await?;
    assert!(silent.seconds >= 0.2, "{silent:?}");
    assert_eq!(silent.result.as_ref().ok(), Some(&json!({id.clone(): null})));
    let silent = php.call(json!(["ask", id, "well?"])).await?;
    assert!(silent.seconds >= 3.0 && silent.result.is_ok(), "{silent:?}");
    let refused = php.call(json!(["ask", id, "well?", 60])).await?;
    assert!(refused.result.is_err_and(|why| why.contains("at most Gateway::$connectTimeout")));

    // A page that is away has the message waiting, and is asked when it is back.
    page.reset()?;
    let parked = async || operator.metric("gateway_parked_clients").await;
    eventually("parked clients", 1.0, parked).await?;
    assert_eq!(php.get(json!(["sendToUidCounted", 7, "later"])).await?, counts(1, 1, 0));
    let asked = tokio::spawn(async move { php.get(json!(["ask", id, "back?"])).await });
    // PHP's question comes before the page or behind it.
    page.connect(server.websocket).await?;
    assert_eq!(page.text().await?, "later");
    let question = loop {
        let (question, text) = page.question().await?;
        if text == "back?" {
            break question;
        }
    };
    page.answer(question, "yes").await?;
    assert_eq!(soon("PHP's answers", asked).await???, json!({page.id()?.to_string(): "yes"}));
    plain.text().await.map(drop)
}
