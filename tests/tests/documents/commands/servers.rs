//! The commands of the server.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, ensure};
use gateway_tests::{
    PhpPeer, ProcessGroup, Server, TestCertificate, on_default_ports, server_binary, store_folder,
};
use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use tempfile::TempDir;
use tokio::process::Command;

use super::how::How::{self, Run, RunBy};
use super::lines::words;
use super::{commands, pages, succeeds};

/// The uid of the documents for whom messages wait.
const AWAY: &str = "42";

/// Where the documents have the store, and where they copy it to.
const STORE: &str = "/var/lib/push-gateway/inbox";
const COPY: &str = "/var/backups/inbox";

/// Runs a command that ends by itself: questions go to a server that runs. Of the others the flags are read.
pub(super) async fn run(arguments: &[&str], server: &Server, folder: &Path) -> anyhow::Result<How> {
    let mut command = Command::new(server_binary()?);
    command.current_dir(folder);
    let operations = server.operations.context("an operations port")?.to_string();
    let how = match arguments {
        ["check", ..] | ["--help"] => Run,
        ["status" | "connections" | "health", ..] => {
            command.env("GATEWAY_OPERATIONS", operations);
            Run
        }
        ["inbox", "list" | "show" | "purge", ..] => {
            let mut php = PhpPeer::connect(server.register[0]).await?;
            php.deliver(AWAY, &fresh_id()?, "hello").await?;
            php.acked().await?;
            command.env("GATEWAY_OPERATIONS", operations);
            Run
        }
        ["inbox", "check" | "copy", ..] => return closed_store(arguments).await.map(|()| Run),
        ["doctor", ..] => RunBy("tests/tests/server/doctor.rs"),
        ["upgrade", ..] => RunBy("tests/tests/server/upgrade.rs"),
        _ => RunBy("tests/tests/documents/commands/servers.rs"),
    };
    command.args(arguments);
    if how != Run {
        command.arg("--help");
    }
    succeeds(command.stdin(std::process::Stdio::null())).await.map(|_| how)
}

/// An id that no message of the store has had.
fn fresh_id() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(format!("{:x}", u64::from_ne_bytes(bytes)))
}

/// Runs a command on a store that no server has open.
async fn closed_store(arguments: &[&str]) -> anyhow::Result<()> {
    let folder = store_folder()?;
    let [store, copy] = ["inbox", "copy"].map(|name| folder.path().join(name).display().to_string());
    let mut server = Server::start(&["--store", &store]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    php.deliver(AWAY, "an-id", "hello").await?;
    php.acked().await?;
    server.signal(Signal::SIGTERM)?;
    server.exit().await?;
    let own = arguments.iter().map(|word| match *word {
        STORE => store.as_str(),
        COPY => copy.as_str(),
        other => other,
    });
    succeeds(Command::new(server_binary()?).args(own)).await.map(drop)
}

/// Gives the words of the commands in all pages that start a server.
fn starts() -> anyhow::Result<BTreeSet<Vec<String>>> {
    let mut starts = BTreeSet::new();
    for page in pages()? {
        for command in commands(&std::fs::read_to_string(&page)?) {
            let words: Vec<String> = words(&command)
                .into_iter()
                .skip_while(|word| word.contains('=') && !word.starts_with('-'))
                .collect();
            let [program, flags @ ..] = &words[..] else { continue };
            let is_server = program == "gateway-server" || program.ends_with("/release/gateway-server");
            if is_server && flags.iter().all(|flag| flag != "--help") {
                let is_start = flags.first().is_none_or(|flag| flag.starts_with("--"));
                starts.extend(is_start.then(|| flags.to_vec()));
            }
        }
    }
    Ok(starts)
}

#[test]
fn servers_start_as_the_documents_print_it() -> anyhow::Result<()> {
    let starts = starts()?;
    ensure!(starts.len() >= 5, "only {starts:?} were found");
    on_default_ports("servers_start_as_the_documents_print_it", async || {
        let folder = TempDir::with_prefix("gateway-test-commands-")?;
        std::fs::create_dir(folder.path().join("config"))?;
        std::fs::write(folder.path().join("config/token-key"), "as long as a key has to be\n")?;
        let certificate = TestCertificate::new()?;
        let [_, chain, _, key] = certificate.flags();
        for flags in starts {
            if !geteuid().is_root() && flags.iter().any(|flag| flag.ends_with(":443")) {
                continue;
            }
            let mut command = std::process::Command::new(server_binary()?);
            for flag in &flags {
                command.arg(match flag.as_str() {
                    // The reader chooses two ports, for which one stands on the page.
                    "127.0.0.1:1234" => "127.0.0.1:1235",
                    "/etc/ssl/example.com/fullchain.pem" => &chain,
                    "/etc/ssl/example.com/privkey.pem" => &key,
                    flag => flag,
                });
            }
            command.current_dir(folder.path());
            ProcessGroup::start(command, " ready ").await.with_context(|| flags.join(" "))?;
        }
        Ok(())
    })
}
