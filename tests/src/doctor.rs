//! `gateway-server doctor`, as programs ask it: with its findings as JSON.

use anyhow::Context as _;
use serde_json::Value;
use tokio::process::Command;

use crate::server::use_free_ports;
use crate::{server_binary, soon};

/// What it has found, and its exit code.
#[derive(Debug)]
pub struct Diagnosis {
    pub code: i32,
    pub report: Value,
}

impl Diagnosis {
    /// Runs it with these flags, on free ports where none are given.
    pub async fn of(flags: &[&str]) -> anyhow::Result<Self> {
        Self::with(|command| {
            command.args(flags);
        })
        .await
    }

    /// Does the same for what flags cannot do, such as variables.
    pub async fn with(prepare: impl FnOnce(&mut Command)) -> anyhow::Result<Self> {
        let mut command = Command::new(server_binary()?);
        command.args(["doctor", "--json"]);
        prepare(&mut command);
        use_free_ports(&mut command);
        let output = soon("the doctor", command.kill_on_drop(true).output()).await??;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout).with_context(|| complaint.clone())?;
        Ok(Self { code: output.status.code().context("a signal has ended it")?, report })
    }

    /// Asserts that a check has found something with this text, gives this result and, for what is to be mended, advice.
    #[track_caller]
    pub fn assert(&self, result: &str, check: &str, text: &str) {
        let checks = self.report["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found = checks.iter().any(|finding| {
            finding["check"] == check
                && finding["result"] == result
                && finding["found"].as_str().is_some_and(|found| found.contains(text))
                && (result != "mend" || finding["advice"].as_str().is_some_and(|advice| advice.len() > 10))
        });
        assert!(found, "no {result} of {check} with {text:?} in {:#}", self.report);
        if result == "mend" {
            assert_eq!(self.code, 1);
        }
    }
}
