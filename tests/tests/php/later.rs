//! Questions whose answers PHP takes later: other calls and an event loop go on while they are open.

use gateway_tests::{ResumingPage, Server, php, root, skip, soon};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Answers the question `how many?` once the page has got a message with this text, before or after it.
async fn answer_after(page: &mut ResumingPage, message: &str) -> anyhow::Result<()> {
    let (question, text) = page.question().await?;
    anyhow::ensure!(text == "how many?", "{text}");
    while page.text().await? != message {}
    page.answer(question, message).await
}

async fn run(command: &mut tokio::process::Command) -> anyhow::Result<Value> {
    let output = soon("the program", command.output()).await??;
    let complaints = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success() && complaints.is_empty(), "{}: {complaints}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test]
async fn a_question_to_a_page_holds_no_other_call_back() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let id = page.id()?.to_string();
    let mut command = php()?;
    command.arg(root().join("tests/php/later/ask.php")).arg(server.register[0].to_string()).arg(&id);
    let (said, answered) = tokio::join!(run(&mut command), answer_after(&mut page, "message 99"));
    answered?;
    assert_eq!(said?, json!({"flushed": true, "online": 1, "answers": {id: "message 99"}, "unknown": []}));
    Ok(())
}

#[tokio::test]
async fn the_loop_of_revolt_goes_on_while_questions_are_open() -> anyhow::Result<()> {
    let Some(revolt) = std::env::var_os("REVOLT_PATH") else {
        skip(
            "the_loop_of_revolt_goes_on_while_questions_are_open",
            "REVOLT_PATH does not name the sources of revolt/event-loop",
        );
        return Ok(());
    };
    let server = Server::start(&[]).await?;
    // It takes connections and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let id = page.id()?.to_string();
    let mut command = php()?;
    command.arg(root().join("tests/php/later/revolt.php")).arg(server.register[0].to_string()).arg(&id);
    command.arg(revolt).arg(mute.local_addr()?.to_string());
    let (said, answered) = tokio::join!(run(&mut command), answer_after(&mut page, "tick 20"));
    answered?;
    let expected =
        json!({"answers": {id: "tick 20"}, "online": 100, "mute": "PushGateway\\UnreachableException"});
    assert_eq!(said?, expected);
    Ok(())
}

#[tokio::test]
async fn coroutines_of_swoole_go_on_while_questions_are_open() -> anyhow::Result<()> {
    let Some(swoole) = std::env::var_os("SWOOLE_SO") else {
        skip(
            "coroutines_of_swoole_go_on_while_questions_are_open",
            "SWOOLE_SO does not name Swoole's extension",
        );
        return Ok(());
    };
    let server = Server::start(&[]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let id = page.id()?.to_string();
    let mut command = php()?;
    command.arg("-d").arg(format!("extension={}", std::path::Path::new(&swoole).display()));
    command.arg(root().join("tests/php/later/swoole.php")).arg(server.register[0].to_string()).arg(&id);
    let (said, answered) = tokio::join!(run(&mut command), answer_after(&mut page, "tick 20"));
    answered?;
    assert_eq!(said?, json!({"answers": {id: "tick 20"}, "online": 100}));
    Ok(())
}
