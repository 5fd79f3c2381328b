//! A TCP proxy between PHP and the register port, through which workers see clients come from another node.

use std::net::SocketAddr;

use gateway_wire::ClientId;
use gateway_wire::bridge::{EventKind, ServerToWorker, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The proxy tells workers of each client that connects that it has moved, and forwards all else as it is. It ends when this is
/// dropped.
pub struct MovingProxy {
    pub address: SocketAddr,
    task: JoinHandle<anyhow::Result<()>>,
}

impl MovingProxy {
    /// Starts a proxy in front of `to`. At the other node each client had the client_id `old`.
    pub async fn start(to: SocketAddr, old: ClientId) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (php, _) = listener.accept().await?;
                let server = TcpStream::connect(to).await?;
                php.set_nodelay(true)?;
                server.set_nodelay(true)?;
                let (mut from_php, to_php) = php.into_split();
                let (from_server, mut to_server) = server.into_split();
                connections.spawn(async move {
                    tokio::select! {
                        copied = tokio::io::copy(&mut from_php, &mut to_server) => copied.map(drop)?,
                        moved = forward_as_moved(from_server, to_php, old) => moved?,
                    }
                    anyhow::Ok(())
                });
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for MovingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward_as_moved(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    old: ClientId,
) -> anyhow::Result<()> {
    let old = old.to_hex();
    let mut input = Vec::new();
    while from.read_buf(&mut input).await? > 0 {
        while let Some(length) = frame::content_length(&input, frame::MAX_REPLY)? {
            let rest = input.split_off(frame::HEADER + length);
            let frame = std::mem::replace(&mut input, rest);
            // A connection that is no worker's has replies, which are no frames to a worker.
            match ServerToWorker::decode(&frame[frame::HEADER..]) {
                Ok(ServerToWorker::Event(mut event)) if event.kind == EventKind::Connect => {
                    (event.kind, event.body) = (EventKind::Move, &old);
                    let mut moved = Vec::new();
                    ServerToWorker::Event(event).encode(&mut moved)?;
                    to.write_all(&moved).await?;
                }
                _ => to.write_all(&frame).await?,
            }
        }
    }
    Ok(())
}
