//! Every command in the documents works, in both languages. Commands that can run here are run; of the others it is checked that they
//! name a target, a file or a flag that exists, and [`How`] says which test runs them, or why none does. A command that is not known here
//! fails the test, so that a way to check it is added below.

mod how;
mod lines;
mod mirrors;
mod sandbox;
mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Output;

use anyhow::{Context as _, ensure};
use gateway_tests::{fences, root, soon};
use tokio::process::Command;

use how::How;
use how::How::{Run, RunBy};
use lines::{Line, inline, lines};
use sandbox::Sandbox;

/// Gives the pages whose commands are checked here. The test of `examples/` runs the commands there.
fn pages() -> anyhow::Result<Vec<PathBuf>> {
    let names = [
        "README.md",
        "README.zh-CN.md",
        "UPGRADE.md",
        "UPGRADE.zh-CN.md",
        "SECURITY.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
    ];
    let mut pages: Vec<_> = names.iter().map(|name| root().join(name)).collect();
    let mut folders =
        ["docs", "docs/recipes", "php", "php-ext", "docker", "packaging"].map(PathBuf::from).to_vec();
    for package in std::fs::read_dir(root().join("php"))? {
        folders.push(package?.path());
    }
    for folder in folders.iter().map(|folder| root().join(folder)).filter(|folder| folder.is_dir()) {
        for entry in std::fs::read_dir(folder)? {
            pages.push(entry?.path());
        }
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.retain(|page| !OF_A_RELEASE.iter().any(|name| *page == root().join(name)));
    pages.sort();
    Ok(pages)
}

/// The sections whose commands are run by `yii2/quick_start.rs`, in an application of Yii 2.
const RUN_ELSEWHERE: [&str; 4] =
    ["Live pages in ten minutes\n", "Install the package\n", "十分钟做出实时页面\n", "安装这个包\n"];

/// The pages whose commands `scripts/release/test` runs, with the files of a release on a new Debian.
const OF_A_RELEASE: [&str; 3] = ["docs/install.md", "docs/install.zh-CN.md", "packaging/README.md"];

/// Gives the page without the sections whose commands another test runs.
fn without_what_runs_elsewhere(page: &str) -> String {
    let sections = page.split("\n## ");
    let kept: Vec<_> = sections
        .filter(|section| !RUN_ELSEWHERE.iter().any(|heading| section.starts_with(heading)))
        .collect();
    kept.join("\n## ")
}

/// Gives the blocks of commands of a page, and those within its text as a last one.
fn blocks(text: &str) -> Vec<Vec<Line>> {
    let shell = fences(text).into_iter().filter(|fence| ["sh", "bash"].contains(&&*fence.language));
    shell.map(|fence| lines(&fence.code)).chain([inline(text)]).collect()
}

/// Gives the simple commands of a line.
fn simple(line: &str) -> impl Iterator<Item = &str> {
    line.split(" && ").map(|command| command.trim().trim_end_matches('&').trim())
}

/// Gives all simple commands of a page.
fn commands(text: &str) -> Vec<String> {
    blocks(text).iter().flatten().flat_map(|line| simple(&line.text)).map(str::to_owned).collect()
}

async fn output(command: &mut Command) -> anyhow::Result<Output> {
    Ok(soon("the command's end", command.kill_on_drop(true).output()).await??)
}

async fn succeeds(command: &mut Command) -> anyhow::Result<String> {
    let output = output(command).await?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", output.status, complaint.trim());
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_in_the_documents_works() -> anyhow::Result<()> {
    let mut sandbox = Sandbox::start().await?;
    let (mut known, mut wrong, mut ways) = (0, Vec::new(), BTreeMap::<How, BTreeSet<String>>::new());
    for page in pages()? {
        let text = without_what_runs_elsewhere(&std::fs::read_to_string(&page)?);
        sandbox.lay_out(&text)?;
        for block in blocks(&text) {
            let mut folder = root();
            for line in block {
                for command in simple(&line.text) {
                    known += 1;
                    match sandbox.check(&line, command, &mut folder).await {
                        Ok(how) => _ = ways.entry(how).or_default().insert(command.to_owned()),
                        Err(error) => wrong.push(format!("{}: {command}: {error:#}", page.display())),
                    }
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(known > 60, "only {known} were found");
    for (how, commands) in &ways {
        println!("{how:?}: {commands:#?}");
        if let RunBy(test) = how {
            ensure!(root().join(test).exists(), "there is no {test}");
        }
    }
    assert!(ways.get(&Run).is_some_and(|run| run.len() >= 30), "too few are run: {ways:#?}");
    Ok(())
}

/// A command that does not exist and one that is not known are both reported.
#[tokio::test]
async fn a_command_that_does_not_work_is_told_of() -> anyhow::Result<()> {
    let mut sandbox = Sandbox::start().await?;
    let wrong = [
        ("make no-such-target", "No rule to make target"),
        ("gateway-server --no-such-flag", "--no-such-flag"),
        ("gateway-server check missing.toml", "missing.toml"),
        ("php php/worker/bin/gateway-worker start Events.php --no-such-flag", "--no-such-flag"),
        ("php -r 'exit(1);'", "exit status: 1"),
        ("install -D no/such/file /usr/local/bin/file", "there is no"),
        ("frobnicate everything", "no test knows the command `frobnicate`"),
        ("curl --json '{}' http://127.0.0.1:1239/api/noSuchOperation", "404"),
    ];
    for (command, complaint) in wrong {
        let line = Line { text: command.to_owned(), prints: Some("{}".to_owned()) };
        let error = sandbox.check(&line, command, &mut root()).await.err();
        let error = error.with_context(|| format!("{command} passes"))?.to_string();
        assert!(error.contains(complaint), "{command}: {error}");
    }
    Ok(())
}
