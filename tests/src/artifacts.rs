//! The paths of the things under test: the server's program, the extension and the project's root.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;

use crate::done;

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The server that was built together with the running test, or the one that GATEWAY_SERVER names.
pub fn server_binary() -> anyhow::Result<PathBuf> {
    built("GATEWAY_SERVER", "gateway-server")
}

/// Makes a copy of a program that can be run at once. Another process writes it: a file that this one has had open for writing is busy for as
/// long as any child of another test has that descriptor too.
pub fn copy_program(from: &Path, to: &Path) -> anyhow::Result<()> {
    done(std::process::Command::new("cp").args([from, to])).map(drop)
}

/// The extension that was built together with the running test, or the one that GATEWAY_SO names.
pub fn extension() -> anyhow::Result<PathBuf> {
    built("GATEWAY_SO", "libgateway.so")
}

fn built(variable: &str, name: &str) -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    // The running test is target/PROFILE/deps/NAME, and the programs that were built with it stand in target/PROFILE.
    let test = std::env::current_exe()?;
    let path = test.ancestors().nth(2).context("the test has no target folder")?.join(name);
    anyhow::ensure!(
        path.exists(),
        "{} is missing: run the tests by `make test`, which builds it",
        path.display()
    );
    Ok(path)
}

/// Gives a folder below the target folder that one of the project's scripts has filled with what a test needs from elsewhere, or
/// the last line of the script's complaint.
pub async fn fetched(script: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.ancestors().nth(3).context("the test has no target folder")?.join(script);
    let output = Command::new(root().join("scripts").join(script)).arg(&folder).output().await?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last = complaint.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    anyhow::ensure!(output.status.success(), "scripts/{script} fails: {last}");
    Ok(folder)
}

/// Gives the reason for which a test is skipped that takes the sources that these environment variables name, where some are unset.
pub(crate) fn unset_sources(variables: &[&str]) -> Option<String> {
    let unset: Vec<_> = variables
        .iter()
        .copied()
        .filter(|name| std::env::var_os(name).is_none_or(|path| path.is_empty()))
        .collect();
    (!unset.is_empty()).then(|| format!("nothing names its sources: {} unset", unset.join(", ")))
}

/// Tells the person who runs the tests that a test did nothing, and why. It writes to the real stderr, since the test runner
/// hides what passing tests print with `eprintln!`.
pub fn skip(test: &str, reason: &str) {
    // The line feed in front keeps the message apart from the dots that the runner prints for other tests.
    let _ = writeln!(std::io::stderr().lock(), "\nSKIPPED {test}: {reason}");
}
