//! A PHP process with the extension that makes the calls which the test tells it, one at a time.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::Context as _;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::{php, root, soon};

/// The process is killed when this is dropped.
pub struct PhpCalls {
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

/// The outcome of a call.
#[derive(Debug)]
pub struct Called {
    /// The value that was returned, or the exception's message.
    pub result: Result<Value, String>,
    pub warnings: Vec<String>,
    pub seconds: f64,
}

impl PhpCalls {
    pub fn start(register: SocketAddr, secret: &str) -> anyhow::Result<Self> {
        Self::start_with(register, secret, &[])
    }

    /// Starts the process with these settings of php.ini, each as `name=value`.
    pub fn start_with(register: SocketAddr, secret: &str, settings: &[&str]) -> anyhow::Result<Self> {
        let mut process = php()?
            .args(settings.iter().flat_map(|setting| ["-d", setting]))
            .arg(root().join("tests/php/calls.php"))
            .args([&register.to_string(), secret])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = process.stdin.take().context("PHP's input")?;
        let stdout = BufReader::new(process.stdout.take().context("PHP's output")?).lines();
        Ok(Self { stdin, stdout, _process: process })
    }

    /// Makes a call; `call` is an array of the method and its arguments.
    pub async fn call(&mut self, call: Value) -> anyhow::Result<Called> {
        self.stdin.write_all(format!("{call}\n").as_bytes()).await?;
        let line = soon(&format!("PHP's answer to {call}"), self.stdout.next_line()).await??;
        let answer: Value = serde_json::from_str(&line.context("PHP has ended")?)?;
        let result = match answer.get("thrown") {
            Some(message) => Err(message.as_str().context("a message")?.to_owned()),
            None => Ok(answer["result"].clone()),
        };
        let warnings = serde_json::from_value(answer["warnings"].clone())?;
        Ok(Called { result, warnings, seconds: answer["seconds"].as_f64().context("seconds")? })
    }

    /// Makes a call that must succeed without a warning, and gives what it returns.
    pub async fn get(&mut self, call: Value) -> anyhow::Result<Value> {
        let Called { result, warnings, .. } = self.call(call.clone()).await?;
        anyhow::ensure!(warnings.is_empty(), "{call}: {warnings:?}");
        result.map_err(|message| anyhow::anyhow!("{call}: {message}"))
    }
}
