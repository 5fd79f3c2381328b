//! The operations of the HTTP API that say what has become of a message, and that ask pages.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use gateway_tests::{Client, Operator, PhpPeer, ResumingPage, Server, eventually, soon};
use serde_json::{Value, json};

/// A time that no test waits for.
const LONG: f64 = 8.0;
/// The number of requests that may wait for pages at once.
const ASKING: usize = 32;

async fn start() -> anyhow::Result<(Server, Operator, PhpPeer)> {
    let server = Server::start(&["--shards", "2", "--operations", "127.0.0.1:0"]).await?;
    let (operator, php) = (Operator::of(&server)?, PhpPeer::connect(server.register[0]).await?);
    Ok((server, operator, php))
}

/// Calls an operation, and gives the status and either the result or the code of the error.
async fn call(operator: &Operator, operation: &str, arguments: Value) -> anyhow::Result<(u16, Value)> {
    let answer = operator.post(&format!("/api/{operation}"), &arguments).await?;
    let mut body = answer.json()?;
    let said = if answer.status == 200 { body["result"].take() } else { body["error"]["code"].take() };
    Ok((answer.status, said))
}

/// Asks in a task of its own, so that pages can answer meanwhile.
fn asked(operator: &Operator, arguments: Value) -> tokio::task::JoinHandle<anyhow::Result<(u16, Value)>> {
    let operator = operator.clone();
    tokio::spawn(async move { call(&operator, "ask", arguments).await })
}

#[tokio::test]
async fn who_has_taken_a_message_is_counted() -> anyhow::Result<()> {
    let (server, operator, mut php) = start().await?;
    let mut one = Client::connect(server.websocket).await?;
    let mut two = Client::connect(server.websocket).await?;
    php.bind(one.id, "ann").await?;
    php.bind(two.id, "bob").await?;
    php.acked().await?;
    let counts = |taken| json!({"taken": taken, "waiting": 0, "gone": 0, "silent": []});
    let uids = json!({"uid": ["ann", "bob", "ann", "nobody"], "message": "to both"});
    assert_eq!(call(&operator, "sendToUidCounted", uids).await?, (200, counts(2)));
    for client in [one.id, two.id] {
        let join = json!({"client_id": client.to_string(), "group": "g"});
        assert_eq!(call(&operator, "joinGroup", join).await?, (200, Value::Null));
    }
    let group = json!({"group": ["g", "none"], "message": "to one", "exclude_client_id": two.id.to_string()});
    assert_eq!(call(&operator, "sendToGroupCounted", group).await?, (200, counts(1)));
    assert_eq!((one.text().await?.as_str(), one.text().await?.as_str()), ("to both", "to one"));
    assert_eq!(two.text().await?, "to both");
    // In a batch each has its own counts.
    let counted =
        |uid| json!({"operation": "sendToUidCounted", "arguments": {"uid": uid, "message": "in a batch"}});
    let answer = operator.post("/api/batch", &json!([counted("ann"), counted("nobody")])).await?;
    assert_eq!(answer.json()?, json!({"results": [{"result": counts(1)}, {"result": counts(0)}]}));
    Ok(())
}

#[tokio::test]
async fn pages_answer_and_others_are_null() -> anyhow::Result<()> {
    let (server, operator, mut php) = start().await?;
    let nobody = json!({"client_id_or_uid": "nobody", "message": "?", "timeout": LONG});
    assert_eq!(call(&operator, "ask", nobody).await?, (200, json!({})));
    let plain = Client::connect(server.websocket).await?;
    let (mut one, mut two) =
        (ResumingPage::connected(server.websocket).await?, ResumingPage::connected(server.websocket).await?);
    let [a, b, c] = [one.id()?, two.id()?, plain.id];
    for id in [a, b, c] {
        php.bind(id, "7").await?;
    }
    php.acked().await?;
    let waiting =
        asked(&operator, json!({"client_id_or_uid": 7, "message": "is it right?", "timeout": LONG}));
    let (id, question) = one.question().await?;
    assert_eq!(question, "is it right?");
    one.answer(id, "yes, ä").await?;
    ensure!(!waiting.is_finished());
    let (id, _) = two.question().await?;
    two.answer(id, "").await?;
    let expected = json!({a.to_string(): "yes, ä", b.to_string(): "", c.to_string(): null});
    assert_eq!(waiting.await??, (200, expected));

    // One page alone, by its client_id, which does not answer in time.
    let start = Instant::now();
    let late = json!({"client_id_or_uid": a.to_string(), "message": "quick!", "timeout": 0.05});
    assert_eq!(call(&operator, "ask", late).await?, (200, json!({a.to_string(): null})));
    ensure!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!(one.question().await?.1, "quick!");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_asked_is_said_and_not_sent() -> anyhow::Result<()> {
    let (server, operator, _php) = start().await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let id = page.id()?.to_string();
    for timeout in [json!(0), json!(-1), json!(8.1), json!(1e300), json!("1"), json!([])] {
        let arguments = json!({"client_id_or_uid": id, "message": "not sent", "timeout": timeout});
        assert_eq!(call(&operator, "ask", arguments).await?, (400, json!("invalid")), "{timeout}");
    }
    let in_batch = json!([
        {"operation": "ask", "arguments": {"client_id_or_uid": id, "message": "not sent"}},
        {"operation": "sendToClient", "arguments": {"client_id": id, "message": "sent"}},
    ]);
    let results = operator.post("/api/batch", &in_batch).await?.json()?["results"].take();
    assert_eq!((&results[0]["error"]["code"], &results[1]["result"]), (&json!("invalid"), &Value::Null));
    assert_eq!(page.text().await?, "sent");
    Ok(())
}

#[tokio::test]
async fn very_many_questions_at_once_are_refused_and_hold_nobody_else_back() -> anyhow::Result<()> {
    let (server, operator, _php) = start().await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let id = page.id()?.to_string();
    let question = |message: &str| json!({"client_id_or_uid": id, "message": message, "timeout": LONG});
    let mut waiting = Vec::new();
    for number in 0..ASKING {
        waiting.push(asked(&operator, question(&number.to_string())));
        page.question().await?;
    }
    assert_eq!(call(&operator, "ask", question("one too many")).await?, (503, json!("busy")));
    // Far more requests than may be large at once are served meanwhile, and only those that ask wait.
    for _ in 0..2 * ASKING {
        assert_eq!(call(&operator, "getAllClientIdCount", json!({})).await?, (200, json!(1)));
    }
    page.close(1000).await?;
    for one in waiting {
        assert_eq!(soon("the end of a wait", one).await???, (200, json!({&id: null})));
    }
    // Their places are free again.
    let again = json!({"client_id_or_uid": "nobody", "message": "?"});
    assert_eq!(call(&operator, "ask", again).await?, (200, json!({})));
    Ok(())
}

#[tokio::test]
async fn an_upgrade_does_not_wait_for_the_answers_of_pages() -> anyhow::Result<()> {
    let (mut server, operator, _php) = start().await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let id = page.id()?.to_string();
    let arguments = json!({"client_id_or_uid": id, "message": "who are you?", "timeout": LONG});
    let waiting = asked(&operator, arguments.clone());
    let (question, _) = page.question().await?;
    server.upgrade().await.context("with a question that waits")?;
    assert_eq!(soon("the end of the wait", waiting).await???, (503, json!("upgrading")));
    // An answer to a question for which nobody waits any more is no harm, and the new process asks its own.
    page.answer(question, "too late").await?;
    let waiting = asked(&operator, arguments);
    let (question, _) = page.question().await?;
    page.answer(question, "I").await?;
    assert_eq!(soon("the answer", waiting).await???, (200, json!({&id: "I"})));
    // The second upgrade finds the port at rest at once.
    server.upgrade().await?;
    eventually("the new process", (200, json!(1)), async || {
        call(&operator, "getAllClientIdCount", json!({})).await
    })
    .await
}
