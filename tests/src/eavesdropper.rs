//! An attacker who may use a cluster's NATS but does not know the cluster's secret: he records messages and sends them again.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::soon;

/// The places of the kind and of the sender's instance in a frame of the cluster: both stand behind the frame's authenticator
/// and version.
const KIND: usize = 17;
const INSTANCE: std::ops::Range<usize> = 19..27;

pub struct Eavesdropper {
    socket: BufReader<TcpStream>,
}

#[derive(Clone, Debug)]
pub struct Heard {
    pub subject: String,
    pub payload: Vec<u8>,
}

impl Heard {
    pub fn kind(&self) -> Option<u8> {
        self.payload.get(KIND).copied()
    }

    /// Gives the id of the process that has sent the message.
    pub fn instance(&self) -> &[u8] {
        self.payload.get(INSTANCE).unwrap_or_default()
    }
}

impl Eavesdropper {
    pub async fn at(nats: SocketAddr) -> anyhow::Result<Self> {
        let mut socket = BufReader::new(soon("NATS", TcpStream::connect(nats)).await??);
        socket.write_all(b"CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB gateway.> 1\r\n").await?;
        let mut this = Self { socket };
        this.flush().await?;
        Ok(this)
    }

    /// Records messages up to and including the one for which `is_last` holds.
    pub async fn hear_until(&mut self, is_last: impl Fn(&Heard) -> bool) -> anyhow::Result<Vec<Heard>> {
        let mut all = Vec::new();
        loop {
            let heard = self.hear().await?.context("a message, not PONG")?;
            let is_over = is_last(&heard);
            all.push(heard);
            if is_over {
                return Ok(all);
            }
        }
    }

    pub async fn say(&mut self, what: &Heard) -> anyhow::Result<()> {
        let Heard { subject, payload } = what;
        let mut said = format!("PUB {subject} {}\r\n", payload.len()).into_bytes();
        said.extend_from_slice(payload);
        said.extend_from_slice(b"\r\n");
        Ok(soon("NATS", self.socket.write_all(&said)).await??)
    }

    /// Waits until NATS has taken everything that was sent, and gives the messages that came meanwhile.
    pub async fn flush(&mut self) -> anyhow::Result<Vec<Heard>> {
        self.socket.write_all(b"PING\r\n").await?;
        let mut all = Vec::new();
        while let Some(heard) = self.hear().await? {
            all.push(heard);
        }
        Ok(all)
    }

    /// Waits for the next message; gives `None` for a PONG.
    async fn hear(&mut self) -> anyhow::Result<Option<Heard>> {
        loop {
            let mut line = String::new();
            soon("a line of NATS", self.socket.read_line(&mut line)).await??;
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                ["MSG", subject, _, length] => {
                    let subject = subject.to_owned();
                    let mut payload = vec![0; length.parse::<usize>()? + 2];
                    soon("a message", self.socket.read_exact(&mut payload)).await??;
                    payload.truncate(payload.len() - 2);
                    return Ok(Some(Heard { subject, payload }));
                }
                ["PONG"] => return Ok(None),
                ["PING"] => self.socket.write_all(b"PONG\r\n").await?,
                ["INFO", ..] => {}
                _ => bail!("NATS says {line:?}"),
            }
        }
    }
}
