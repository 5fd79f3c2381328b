//! Where the things under test are.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The server that was built together with the running test, or the one that GATEWAY_SERVER names.
pub fn server_binary() -> anyhow::Result<PathBuf> {
    built("GATEWAY_SERVER", "gateway-server")
}

/// The extension that was built together with the running test, or the one that GATEWAY_SO names.
pub fn extension() -> anyhow::Result<PathBuf> {
    built("GATEWAY_SO", "libgateway.so")
}

fn built(variable: &str, name: &str) -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    // target/PROFILE/deps/the_test
    let test = std::env::current_exe()?;
    let path = test.ancestors().nth(2).context("the test has no target folder")?.join(name);
    anyhow::ensure!(
        path.exists(),
        "{} is missing: run the tests by `make test`, which builds it",
        path.display()
    );
    Ok(path)
}

/// Says, past the test runner's capture, that a test did nothing and why.
pub fn skip(test: &str, reason: &str) {
    // On a line of its own, wherever the runner's dots stand.
    let _ = writeln!(std::io::stderr().lock(), "\nSKIPPED {test}: {reason}");
}
