//! Upgrades between the server and that of a release before it, in both directions. `PREVIOUS_GATEWAY_SERVER` names the binary of that
//! release; without it the test is skipped.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use gateway_tests::{
    Operator, PhpPeer, PlainClient, ResumingPage, Server, SteadyPushes, copy_program, server_binary, skip,
};
use nix::unistd::Pid;

const CLIENTS: usize = 30;

/// Puts a binary in the place of another, as a package's upgrade does.
fn install(binary: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let (new, place) = (folder.join("new"), folder.join("gateway-server"));
    copy_program(binary, &new).with_context(|| binary.display().to_string())?;
    std::fs::rename(new, &place)?;
    Ok(place)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_stay_through_an_upgrade_from_the_previous_release_and_back() -> anyhow::Result<()> {
    let Some(previous) = std::env::var_os("PREVIOUS_GATEWAY_SERVER").map(PathBuf::from) else {
        let reason = "PREVIOUS_GATEWAY_SERVER does not name the binary of a release";
        skip("clients_stay_through_an_upgrade_from_the_previous_release_and_back", reason);
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let binary = install(&previous, folder.path())?;
    let mut server = Server::start_binary(&binary, |command| {
        command.args(["--operations", "127.0.0.1:0", "--listener", "text://127.0.0.1:0", "--shards", "2"]);
    })
    .await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let mut line = PlainClient::connect(server.listeners[0]).await?;
    let init: serde_json::Value = serde_json::from_str(&line.line().await?)?;
    let line_id = init["client_id"].as_str().context("a client_id")?.parse()?;
    let mut pushes = SteadyPushes::start(&server, CLIENTS, 2).await?;
    let own = server_binary()?;
    for (round, installed) in [own.as_path(), &previous, &own, &previous, &own].into_iter().enumerate() {
        install(installed, folder.path())?;
        let answer = Operator::of(&server)?.ask("POST", "/upgrade", "").await?;
        if answer.status == 200 {
            let pid = answer.json()?["pid"].as_i64().context("the pid of the new process")?;
            server.adopt(Pid::from_raw(pid.try_into()?));
        } else {
            // An older release need not read what a newer one writes. Then it says so, and nothing has happened.
            ensure!(
                installed == previous,
                "the release does not take over from the one before it: {answer:?}"
            );
            ensure!(answer.status == 409 && answer.body.contains("version"), "{answer:?}");
        }
        eprintln!("to {}: {}", installed.display(), answer.body);
        pushes.served().await?;
        let mut php = PhpPeer::connect(server.register[0]).await?;
        php.bind(page.id()?, "page").await?;
        php.bind(line_id, "line").await?;
        for uid in ["page", "line"] {
            php.send_to_uid(uid, &format!("{uid} {round}")).await?;
        }
        assert_eq!(page.text().await?, format!("page {round}"));
        assert_eq!(line.line().await?, format!("line {round}"));
    }
    pushes.finish().await?;
    Ok(())
}
