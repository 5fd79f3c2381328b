//! A client of the operations port, over plain HTTP.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Server, soon};

#[derive(Clone, Debug)]
pub struct Operator {
    pub address: SocketAddr,
    pub token: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Operator {
    /// A client for the operations port of `server`, which must run with `--operations`.
    pub fn of(server: &Server) -> anyhow::Result<Self> {
        Ok(Self { address: server.operations.context("--operations")?, token: None })
    }

    pub fn with_token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask("GET", path, "").await
    }

    /// Fetches a path, whose answer must be JSON.
    pub async fn json(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let answer = self.get(path).await?;
        anyhow::ensure!(answer.status == 200, "{answer:?}");
        answer.json()
    }

    pub async fn post(&self, path: &str, body: &serde_json::Value) -> anyhow::Result<Answer> {
        self.ask("POST", path, &body.to_string()).await
    }

    /// Sends a request whose `body` is declared as JSON.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let token = self.token.as_ref();
        let authorization = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{authorization}Connection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.say(request.as_bytes()).await
    }

    /// Sends these bytes, and reads the answer up to the end of the connection.
    pub async fn say(&self, bytes: &[u8]) -> anyhow::Result<Answer> {
        let mut socket = soon("connecting", TcpStream::connect(self.address)).await??;
        soon("writing", socket.write_all(bytes)).await??;
        let mut answer = Vec::new();
        soon("the answer", socket.read_to_end(&mut answer)).await??;
        Answer::parse(&String::from_utf8(answer)?)
    }

    /// Fetches the value of a metric, named as `name` or `name{label="value"}`.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let answer = self.get("/metrics").await?;
        anyhow::ensure!(answer.status == 200, "{answer:?}");
        let mut lines = answer.body.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("{name} in {}", answer.body))?.parse()?)
    }
}

impl Answer {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no answer: {text:?}"))?;
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        Ok(Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
    }

    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{self:?}"))
    }
}
