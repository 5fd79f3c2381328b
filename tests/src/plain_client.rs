//! A client of a listener that does not speak websocket: it reads and writes plain bytes.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use gateway_wire::ClientId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::soon;

pub struct PlainClient {
    pub socket: TcpStream,
    input: Vec<u8>,
}

impl PlainClient {
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = soon("connecting", TcpStream::connect(address)).await??;
        socket.set_nodelay(true)?;
        Ok(Self { socket, input: Vec::new() })
    }

    pub async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(soon("writing", self.socket.write_all(bytes)).await??)
    }

    /// Reads `length` bytes.
    pub async fn bytes(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        while self.input.len() < length {
            self.more().await?;
        }
        Ok(self.input.drain(..length).collect())
    }

    /// Reads up to the next line feed, and gives the line without it.
    pub async fn line(&mut self) -> anyhow::Result<String> {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let mut line = self.bytes(end + 1).await?;
                line.pop();
                return Ok(String::from_utf8(line)?);
            }
            self.more().await?;
        }
    }

    /// Waits for the end of the connection, before which nothing more may come.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        ensure!(self.input.is_empty(), "{:?} came before the end", String::from_utf8_lossy(&self.input));
        let mut more = [0; 64];
        match soon("the connection's end", self.socket.read(&mut more)).await? {
            Ok(length) => ensure!(length == 0, "{:?} instead of the end", &more[..length]),
            // A reset is an end too: the server sends one when it gives a client up.
            Err(error) => ensure!(error.kind() == std::io::ErrorKind::ConnectionReset, "{error}"),
        }
        Ok(())
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        let length = soon("bytes", self.socket.read_buf(&mut self.input)).await??;
        ensure!(length > 0, "the connection ended behind {:?}", String::from_utf8_lossy(&self.input));
        Ok(())
    }
}

/// Gives the client id that an `init` message names.
pub fn greeted(init: &[u8]) -> anyhow::Result<ClientId> {
    let init: serde_json::Value = serde_json::from_slice(init)?;
    ensure!(init["type"] == "init", "{init} is no init message");
    Ok(init["client_id"].as_str().context("client_id")?.parse()?)
}
