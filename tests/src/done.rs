//! Runs of programs that must succeed.

use std::process::Command;

/// Runs a program that must succeed, and gives what it prints: stdout, then stderr.
pub fn done(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    let said = [output.stdout, output.stderr].concat();
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
    Ok(String::from_utf8(said)?.trim_end().to_owned())
}
