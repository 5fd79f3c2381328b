//! Real PHP that loads the extension under test.

use std::process::{Output, Stdio};

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::{extension, root, soon};

/// A PHP that loads the extension under test and ignores the machine's own configuration.
pub fn php() -> anyhow::Result<Command> {
    let mut command = Command::new("php");
    command.arg("-n").arg("-d").arg(format!("extension={}", extension()?.display()));
    command.args(["-d", "error_reporting=-1", "-d", "display_errors=stderr"]).kill_on_drop(true);
    Ok(command)
}

/// A PHP that loads the extension and the machine's own configuration, from which posix and mbstring come on Debian.
pub fn php_of_the_machine() -> anyhow::Result<std::process::Command> {
    let mut command = std::process::Command::new("php");
    command.arg("-d").arg(format!("extension={}", extension()?.display()));
    command.args(["-d", "error_reporting=-1", "-d", "display_errors=stderr"]);
    Ok(command)
}

/// Runs a script of tests/php to its end, and gives what it printed. The script must succeed and write nothing to stderr.
pub async fn run_script(script: &str, args: &[&str], input: &str) -> anyhow::Result<String> {
    let Output { status, stdout, stderr } = soon(script, async {
        let mut process = php()?
            .arg(root().join("tests/php").join(script))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting php")?;
        let mut stdin = process.stdin.take().context("its input")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        anyhow::Ok(process.wait_with_output().await?)
    })
    .await??;
    let complaints = String::from_utf8_lossy(&stderr);
    anyhow::ensure!(status.success() && complaints.is_empty(), "{script}: {status}, {complaints}");
    Ok(String::from_utf8(stdout)?)
}
