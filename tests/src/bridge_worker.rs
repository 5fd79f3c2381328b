//! A worker of the bridge protocol that is played by the test itself, so that a test can also say what no real worker would
//! say.

use std::net::SocketAddr;

use anyhow::bail;
use gateway_wire::ClientId;
use gateway_wire::bridge::{EventKind, Login, PREFACE, Reply, ServerToWorker, WorkerToServer, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{OWN_NONCE, new_producer, soon};

pub struct BridgeWorker {
    socket: TcpStream,
    input: Vec<u8>,
}

impl BridgeWorker {
    /// Logs in without a secret. The worker gets no events before the test sends `Join`.
    pub async fn connect(register: SocketAddr) -> anyhow::Result<Self> {
        Self::connect_as(register, b"").await
    }

    /// Does the same as [`BridgeWorker::connect`] on a server that asks for a secret.
    pub async fn connect_as(register: SocketAddr, secret: &[u8]) -> anyhow::Result<Self> {
        let socket = soon("connecting", TcpStream::connect(register)).await??;
        socket.set_nodelay(true)?;
        let mut worker = Self { socket, input: Vec::new() };
        worker.write(&PREFACE).await?;
        let Reply::Hello { nonce, .. } = Reply::decode(&worker.frame().await?)? else { bail!("no hello") };
        let mut login = Vec::new();
        Login::new(Login::WORKER, new_producer(), secret, &nonce, OWN_NONCE).encode(&mut login)?;
        worker.write(&login).await?;
        let Reply::Welcome { .. } = Reply::decode(&worker.frame().await?)? else { bail!("no welcome") };
        Ok(worker)
    }

    pub async fn say(&mut self, said: &WorkerToServer<'_>) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        said.encode(&mut bytes)?;
        self.write(&bytes).await
    }

    /// Waits for the next event and gives its number, kind and body.
    pub async fn told(&mut self) -> anyhow::Result<(u64, EventKind, Vec<u8>)> {
        let (number, kind, _, body) = soon("an event", self.told_of()).await??;
        Ok((number, kind, body))
    }

    /// Waits for the next event without a time limit, and also gives the client that it is about.
    pub async fn told_of(&mut self) -> anyhow::Result<(u64, EventKind, ClientId, Vec<u8>)> {
        match ServerToWorker::decode(&self.next_frame().await?)? {
            ServerToWorker::Event(event) => Ok((event.number, event.kind, event.client, event.body.to_vec())),
            other => bail!("{other:?} instead of an event"),
        }
    }

    /// Waits for a batch of notices, and gives its number and the ids of its receipts and of its undelivered messages.
    pub async fn notices(&mut self) -> anyhow::Result<(u64, Vec<String>, Vec<String>)> {
        match ServerToWorker::decode(&self.frame().await?)? {
            ServerToWorker::Notices(notices) => Ok((
                notices.number,
                notices.receipts.iter().map(|receipt| receipt.id.to_owned()).collect(),
                notices.undelivered.iter().map(|notice| notice.id.to_owned()).collect(),
            )),
            other => bail!("{other:?} instead of notices"),
        }
    }

    /// Waits for the server's answer to an offered progress file, and gives whether the server reads the file.
    pub async fn is_tally_read(&mut self) -> anyhow::Result<bool> {
        match ServerToWorker::decode(&self.frame().await?)? {
            ServerToWorker::ProgressFile { is_read } => Ok(is_read),
            other => bail!("{other:?} instead of an answer about the tally"),
        }
    }

    /// Waits for the answer to a ping.
    pub async fn pong(&mut self) -> anyhow::Result<()> {
        match ServerToWorker::decode(&self.frame().await?)? {
            ServerToWorker::Pong => Ok(()),
            other => bail!("{other:?} instead of a pong"),
        }
    }

    /// Waits until the server, which was told that the worker leaves, has nothing more to say and closes the connection.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        match ServerToWorker::decode(&self.frame().await?)? {
            ServerToWorker::End => {}
            other => bail!("{other:?} instead of the end"),
        }
        match self.frame().await {
            Err(closed) if closed.to_string().contains("closed") => Ok(()),
            other => bail!("{other:?} behind the end"),
        }
    }

    /// Waits until the server refuses the worker, and gives the reason that the server states.
    pub async fn refused(&mut self) -> anyhow::Result<String> {
        match Reply::decode(&self.frame().await?)? {
            Reply::Error { seq: 0, message } => Ok(message),
            other => bail!("{other:?} instead of an error"),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(soon("writing", self.socket.write_all(bytes)).await??)
    }

    async fn frame(&mut self) -> anyhow::Result<Vec<u8>> {
        soon("a frame", self.next_frame()).await?
    }

    async fn next_frame(&mut self) -> anyhow::Result<Vec<u8>> {
        loop {
            if let Some(length) = frame::content_length(&self.input, frame::MAX_REPLY)? {
                let rest = self.input.split_off(frame::HEADER + length);
                return Ok(std::mem::replace(&mut self.input, rest).split_off(frame::HEADER));
            }
            let mut more = [0; 4096];
            match self.socket.read(&mut more).await? {
                0 => bail!("the server closed the connection"),
                length => self.input.extend_from_slice(&more[..length]),
            }
        }
    }
}
