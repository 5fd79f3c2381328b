//! The README's three files for PHP with the extension, and its commands, run as they are printed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use gateway_tests::{
    Browser, Fence, PhpPeer, ProcessGroup, Server, done, eventually, extension, fences, lay_out,
    on_default_ports, root,
};
use tempfile::TempDir;

const CHECKOUT: &str = "/path/to/push-gateway";

fn part(page: &str, heading: &str) -> anyhow::Result<String> {
    let page = std::fs::read_to_string(root().join(page))?;
    let part = page.split(&format!("\n### {heading}\n")).nth(1).with_context(|| format!("no {heading}"))?;
    Ok(part.split("\n### ").next().unwrap_or_default().to_owned())
}

/// The command of that line, in the folder that holds the files.
fn command(line: &str, folder: &Path) -> anyhow::Result<Command> {
    let loaded = format!("{CHECKOUT}/target/release/libgateway.so");
    ensure!(line.contains(&loaded), "{line} does not load the extension");
    let mut command = Command::new("sh");
    let line = line.replace(&loaded, &extension()?.display().to_string());
    command.args(["-euc", &format!("exec {line}")]).current_dir(folder);
    Ok(command)
}

async fn the_steps(page: &str) -> anyhow::Result<()> {
    let folder = TempDir::with_prefix("gateway-test-readme-")?;
    lay_out(page, folder.path())?;
    let shell: Vec<Fence> = fences(page).into_iter().filter(|fence| fence.language == "sh").collect();
    let [commands] = &shell[..] else { anyhow::bail!("{} blocks of commands", shell.len()) };
    let lines: Vec<_> = commands.code.lines().collect();
    let [server, serve, push] = lines[..] else { anyhow::bail!("{lines:?}") };
    ensure!(server == format!("{CHECKOUT}/target/release/gateway-server"), "{server}");

    let _server = Server::start_with(|command| {
        command.args(["--websocket", "0.0.0.0:8282", "--register", "127.0.0.1:1238,127.0.0.1:1236"]);
    })
    .await?;
    let (_site, _) = ProcessGroup::start(command(serve, folder.path())?, " started").await?;
    let browser = Browser::start().await?;
    let tab = browser.open("http://127.0.0.1:8080/").await?;
    let mut php = PhpPeer::connect("127.0.0.1:1238").await?;
    eventually("the page's uid", 1, async || Ok(php.clients_of("7").await?.len())).await?;
    done(&mut command(push, folder.path())?)?;
    tab.shows("body", &["You have a new comment"]).await
}

#[test]
fn the_three_steps_of_the_readme_work_as_printed() -> anyhow::Result<()> {
    on_default_ports("the_three_steps_of_the_readme_work_as_printed", async || {
        the_steps(&part("README.md", "PHP with the extension")?).await
    })
}
