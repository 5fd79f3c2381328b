//! The Python client in docs/client-protocol.md, run as it stands there, over connections that are cut.

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use gateway_tests::{PhpPeer, ResettingProxy, Rng, Server, eventually, fetched, root, skip, soon};
use gateway_wire::bridge::AnswerValue;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// The number of messages to the client, which says some fifty times what it has seen.
const MESSAGES: usize = 48_000;
/// The largest number of cuts on the way.
const CUTS: usize = 10;

#[tokio::test]
async fn the_page_of_python_misses_nothing_over_cuts() -> anyhow::Result<()> {
    let python = match fetched("python-page").await {
        Ok(folder) => folder.join("venv/bin/python"),
        Err(reason) => {
            skip("the_page_of_python_misses_nothing_over_cuts", &format!("{reason:#}"));
            return Ok(());
        }
    };
    let page = std::fs::read_to_string(root().join("docs/client-protocol.md"))?;
    let program = page.split("```python\n").nth(1).and_then(|rest| rest.split("```\n").next());
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("page.py");
    std::fs::write(&file, program.context("no program on the page")?)?;

    let server = Server::start(&["--resume-messages", "60000", "--resume-bytes", "64000000"]).await?;
    // A handshake has some 300 bytes, and each time that the client says what it has seen some 20.
    let mut rng = Rng::new(7);
    let cuts = (0..CUTS).map(|_| 380 + rng.below(60)).collect();
    let proxy = ResettingProxy::start(server.websocket, cuts).await?;
    let mut command = Command::new(python);
    command.arg(&file).arg(format!("ws://{}", proxy.address));
    let mut client = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    eventually("clients", AnswerValue::Int(1), async || php.count().await).await?;

    let complaints = client.stderr.take().context("no standard error")?;
    let complaints = tokio::spawn(async move {
        let (mut lines, mut all) = (BufReader::new(complaints).lines(), Vec::new());
        while let Ok(Some(line)) = lines.next_line().await {
            all.push(line);
        }
        all
    });
    let pushes = async {
        for number in 0..MESSAGES {
            php.send_to_all(&format!("gateway:{number}")).await?;
            if number % 100 == 99 {
                php.acked().await?;
            }
        }
        anyhow::Ok(())
    };
    let mut lines = BufReader::new(client.stdout.take().context("no output")?).lines();
    let reads = async {
        for number in 0..MESSAGES {
            let line = soon("a line of the client", lines.next_line()).await??;
            ensure!(line == Some(format!("gateway:{number}")), "{line:?} in place of {number}");
        }
        anyhow::Ok(())
    };
    let (pushed, read) = tokio::join!(pushes, reads);
    drop((client, server));
    let complaints = complaints.await?;
    pushed.and(read).with_context(|| complaints.join("\n"))?;
    let came_back = complaints.iter().filter(|line| line.starts_with("client ")).count();
    ensure!(came_back > CUTS / 2 && !complaints.iter().any(|line| line.starts_with("gap")), "{complaints:?}");
    Ok(())
}
