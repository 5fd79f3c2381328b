//! The sources of other projects that tests need: `make test` says which claims were not run without them, and which commands get these.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use gateway_tests::{done, root};

/// Variables of the tests that name no sources, or those of an application in place of Debian's or our own.
const OTHERS: [&str; 3] = ["JQUERY_PATH", "NODE_PATH", "YII2_APP_BASIC_PATH"];

/// The beginning of the addresses of all repositories.
const HOST: &str = "https://github.com/";

/// Runs the script with a folder of its own for what it gets.
fn sources(target: &Path) -> Command {
    let mut command = Command::new(root().join("scripts/sources"));
    command.env("CARGO_TARGET_DIR", target);
    for variable in variables().unwrap_or_default() {
        command.env_remove(variable);
    }
    command
}

/// Gives the variables of the script's rows.
fn variables() -> anyhow::Result<BTreeSet<String>> {
    let script = std::fs::read_to_string(root().join("scripts/sources"))?;
    Ok(script
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .filter(|name| name.ends_with("_PATH"))
        .map(str::to_owned)
        .collect())
}

/// Gives the names in a text that end as those of the variables do.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |letter: char| letter == '_' || letter.is_ascii_uppercase() || letter.is_ascii_digit();
    text.split(move |letter| !is_part(letter)).filter(|name| name.len() > 5 && name.ends_with("_PATH"))
}

fn rust_files(folder: &Path, files: &mut Vec<std::path::PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[test]
fn what_tests_skip_for_want_of_sources_is_summed_up() -> anyhow::Result<()> {
    let mut files = Vec::new();
    rust_files(&root().join("tests/src"), &mut files)?;
    rust_files(&root().join("tests/tests"), &mut files)?;
    let mut wanted = BTreeSet::new();
    for file in files.iter().filter(|file| !file.ends_with("documents/sources.rs")) {
        let text = std::fs::read_to_string(file)?;
        wanted.extend(names(&text).filter(|name| !OTHERS.contains(name)).map(str::to_owned));
    }
    assert_eq!(wanted, variables()?, "scripts/sources has a row for each variable that names sources");
    let page = std::fs::read_to_string(root().join("CONTRIBUTING.md"))?;
    for variable in &wanted {
        ensure!(page.contains(&format!("`{variable}`")), "CONTRIBUTING.md does not name {variable}");
    }

    let target = tempfile::tempdir()?;
    let log = target.path().join("log");
    let missing = || done(sources(target.path()).arg("missing").arg(&log));
    std::fs::write(
        &log,
        "SKIPPED an_image: no docker engine answers\ntest result: ok. 1 passed; 0 failed\n",
    )?;
    assert_eq!(missing()?, "");
    let two = "SKIPPED one: YII2_PATH names no Yii 2\n\
        SKIPPED two: nothing names its sources: GATEWAYCLIENT_PATH, WORKERMAN_PATH unset\n\
        SKIPPED PHP unit tests of yii2: its requirements are missing: yiisoft/yii2\n\
        SKIPPED PHP unit tests of yii3: its requirements are missing: yiisoft/config, yiisoft/di\n";
    std::fs::write(&log, two)?;
    let said = missing()?;
    let mut lines = said.lines();
    let summary = lines.next().context("a summary")?;
    ensure!(summary.starts_with("NOT RUN, as no package registry has the sources"), "{said}");
    for claim in ["Yii 2: component, widget, action", "(2); GatewayWorker: GatewayClient works", "(1); Yii 3"]
    {
        ensure!(summary.contains(claim), "{claim}: {said}");
    }
    assert_eq!(lines.count(), 4, "{said}");
    Ok(())
}

/// The commands of the summary are run as they are printed, on repositories of this machine in place of those of the Internet.
#[test]
fn the_commands_that_are_printed_get_the_sources() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("target");
    let log = folder.path().join("log");
    let mut skipped = String::new();
    for variable in variables()? {
        skipped.push_str(&format!("SKIPPED a_test: {variable} is not set\n"));
    }
    std::fs::write(&log, skipped)?;
    let said = done(sources(&target).arg("missing").arg(&log))?;
    let commands: Vec<&str> = said.lines().skip(1).map(str::trim).collect();
    assert_eq!(commands.len(), variables()?.len(), "{said}");
    let (by_git, by_composer): (Vec<&str>, Vec<&str>) =
        commands.into_iter().partition(|command| command.starts_with("git "));
    ensure!(
        by_composer.len() == 1 && by_composer[0].starts_with("composer create-project "),
        "{by_composer:?}"
    );

    // Each repository has the folders that variables name, and the tag that the command asks for.
    let host = folder.path().join("host");
    for command in &by_git {
        let words: Vec<&str> = command.split(' ').collect();
        let address = words.iter().find_map(|word| word.strip_prefix(HOST)).context("an address")?;
        let repository = host.join(address);
        std::fs::create_dir_all(repository.join("framework"))?;
        std::fs::create_dir_all(repository.join("src"))?;
        std::fs::write(repository.join("framework/file"), "")?;
        std::fs::write(repository.join("src/file"), "")?;
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.arg("-C").arg(&repository).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
            done(git.args(arguments))
        };
        git(&["init", "--quiet"])?;
        git(&["add", "."])?;
        git(&["commit", "--quiet", "--message", "all"])?;
        if let Some(at) = words.iter().position(|word| *word == "--branch") {
            git(&["tag", words[at + 1]])?;
        }
    }
    let from_host = |command: &mut Command| {
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_VALUE_0", HOST);
        command.env("GIT_CONFIG_KEY_0", format!("url.file://{}/.insteadOf", host.display()));
    };
    let mut named = BTreeSet::new();
    for command in &by_git {
        let variable = names(command).last().context("a variable")?;
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{command} && ls \"${variable}\"")]).current_dir(root());
        from_host(&mut shell);
        ensure!(!done(&mut shell)?.is_empty(), "{command}");
        named.insert(variable.to_owned());
    }

    // The sources that are there are named to the next run, and are not got twice.
    let exported = done(sources(&target).arg("env"))?;
    assert_eq!(names(&exported).map(str::to_owned).collect::<BTreeSet<_>>(), named);
    let mut again = sources(&target);
    from_host(again.args(["fetch", "yii2", "workerman"]));
    assert_eq!(done(&mut again)?, "");
    std::fs::remove_dir_all(target.join("sources/yii2"))?;
    let mut anew = sources(&target);
    from_host(anew.args(["fetch", "yii2", "workerman"]));
    ensure!(done(&mut anew)?.starts_with("git -c advice.detachedHead=false clone "));
    ensure!(target.join("sources/yii2/framework/file").exists());
    Ok(())
}
