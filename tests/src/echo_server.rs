//! A server together with a worker that sends every client's message back to that client.

use std::net::SocketAddr;

use gateway_wire::bridge::{EventKind, Order, WorkerToServer};
use serde_bytes::Bytes;
use tokio::task::JoinHandle;

use crate::{BridgeWorker, PhpPeer, Server};

/// A call of PHP takes less than 16 MiB. A longer message goes out as websocket fragments, each in a call of its own.
const LARGE: usize = 15 << 20;
const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0;

/// The type of all messages that the server sends; the numbers are the opcodes of RFC 6455.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum MessageType {
    Text = 1,
    Binary = 2,
}

pub struct EchoServer {
    pub server: Server,
    worker: JoinHandle<anyhow::Result<()>>,
}

impl EchoServer {
    /// Starts the server with `flags` in addition to those of [`Server::start`].
    pub async fn start(message_type: MessageType, flags: &[&str]) -> anyhow::Result<Self> {
        let name = if message_type == MessageType::Text { "text" } else { "binary" };
        let given = ["--events", "workers", "--message-type", name];
        let mut server = Server::start(&[&given, flags].concat()).await?;
        let register = server.register[0];
        let worker = tokio::spawn(echo(register, message_type));
        server.logs("a worker joined").await?;
        Ok(Self { server, worker })
    }

    /// Waits until the worker echoes no more, and gives the reason. While the server is well this never returns.
    pub async fn ended(&mut self) -> anyhow::Error {
        match (&mut self.worker).await {
            Ok(Err(error)) => error.context("the worker that echoes has ended"),
            other => anyhow::anyhow!("the worker that echoes has ended: {other:?}"),
        }
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

async fn echo(register: SocketAddr, message_type: MessageType) -> anyhow::Result<()> {
    let mut php = PhpPeer::connect(register).await?;
    let mut worker = BridgeWorker::connect(register).await?;
    worker.say(&WorkerToServer::Join { name: "echo", moves: false }).await?;
    loop {
        let (number, kind, client, body) = worker.told_of().await?;
        if kind == EventKind::Message {
            if body.len() < LARGE {
                php.order(Order::SendToClient { client, message: Bytes::new(&body), raw: false }).await?;
            } else {
                let (first, rest) = body.split_at(body.len() / 2);
                for frame in [fragment(message_type as u8, first), fragment(FINAL | CONTINUATION, rest)] {
                    php.order(Order::SendToClient { client, message: Bytes::new(&frame), raw: true }).await?;
                }
            }
            php.acked().await?;
        }
        worker.say(&WorkerToServer::Progress { taken: number, done: number }).await?;
    }
}

/// A frame of more than 65,535 bytes, with the payload's length in 8 bytes.
fn fragment(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 127];
    frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}
