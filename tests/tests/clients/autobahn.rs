//! The Autobahn websocket test suite: every case ends as tests/autobahn/expected says.
//!
//! The suite expects a server that echoes text as text and binary as binary. Our server sends all of PHP's messages as one of
//! the two (`message_type`), so two servers run.

use std::collections::BTreeMap;
use std::process::Stdio;

use gateway_tests::{EchoServer, MessageType, fetched, root, skip};
use tokio::process::Command;

/// The number of messages in a case that counts them. The suite asks for 1000, and `make autobahn` sends them all.
const MESSAGES: &str = "10";

#[tokio::test]
async fn every_case_of_the_autobahn_suite_ends_as_expected() -> anyhow::Result<()> {
    let directory = match fetched("autobahn").await {
        Ok(directory) => directory,
        Err(reason) => {
            skip("every_case_of_the_autobahn_suite_ends_as_expected", &format!("{reason:#}"));
            return Ok(());
        }
    };
    let mut text = echo(MessageType::Text).await?;
    let mut binary = echo(MessageType::Binary).await?;
    let url = |server: &EchoServer| format!("ws://{}", server.server.websocket);

    let mut command = Command::new(directory.join("venv/bin/python"));
    command.arg(root().join("tests/autobahn/run.py")).arg(directory.join("cases"));
    command.args([url(&text), url(&binary)]).stdout(Stdio::piped()).kill_on_drop(true);
    if std::env::var_os("AUTOBAHN_WHOLE").is_none() {
        command.args(["--messages", MESSAGES]);
    }
    let output = tokio::select! {
        output = command.spawn()?.wait_with_output() => output?,
        reason = text.ended() => return Err(reason),
        reason = binary.ended() => return Err(reason),
    };
    anyhow::ensure!(output.status.success(), "the suite ended with {}", output.status);
    let results = String::from_utf8(output.stdout)?;
    std::fs::write(directory.join("results"), &results)?;

    let file = root().join("tests/autobahn/expected");
    let expected = std::fs::read_to_string(&file)?;
    let (results, expected) = (by_case(&results), by_case(&expected));
    let mut different: Vec<_> = results
        .iter()
        .filter(|(case, result)| !expected.get(*case).is_some_and(|expected| is_as_good(result, expected)))
        .map(|(case, result)| format!("{case}: {result}, expected {:?}", expected.get(case)))
        .collect();
    let missing = expected.keys().filter(|case| !results.contains_key(*case));
    different.extend(missing.map(|case| format!("{case} was not run")));
    anyhow::ensure!(different.is_empty(), "{}", different.join("\n"));
    Ok(())
}

/// The limits have room for the longest messages of the suite, which have 16 MiB.
async fn echo(message_type: MessageType) -> anyhow::Result<EchoServer> {
    let flags = ["--deflate", "--ping-interval", "0"];
    let limits =
        ["--max-message", "16777216", "--outbox-bytes", "33554432", "--worker-buffer-bytes", "67108864"];
    EchoServer::start(message_type, &[&flags[..], &limits].concat()).await
}

/// If a result depends on which side is faster, the file names the worse of two results, and the better one is accepted
/// too.
fn is_as_good(result: &str, expected: &str) -> bool {
    result == expected || result.strip_prefix("OK") == expected.strip_prefix("NON-STRICT")
}

fn by_case(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t')).collect()
}
