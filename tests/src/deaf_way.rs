//! A proxy between NATS and a node, by which a node hears some nodes of its cluster and not others.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Where the random number of the sending process stands in a frame between nodes.
const INSTANCE: std::ops::Range<usize> = 19..27;

/// The proxy ends when this is dropped.
pub struct DeafWay {
    pub address: SocketAddr,
    is_deaf: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

/// The processes that the node has heard.
type Heard = Arc<Mutex<BTreeSet<[u8; 8]>>>;

impl DeafWay {
    /// Starts a proxy in front of NATS.
    pub async fn to(nats: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (is_deaf, state) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let heard = Heard::default();
            loop {
                let (node, _) = listener.accept().await?;
                let server = TcpStream::connect(nats).await?;
                node.set_nodelay(true)?;
                server.set_nodelay(true)?;
                let (mut from_node, to_node) = node.into_split();
                let (from_server, mut to_server) = server.into_split();
                let (state, heard) = (state.clone(), Arc::clone(&heard));
                connections.spawn(async move {
                    tokio::select! {
                        copied = tokio::io::copy(&mut from_node, &mut to_server) => copied.map(drop)?,
                        ended = forward(from_server, to_node, state, heard) => ended?,
                    }
                    anyhow::Ok(())
                });
            }
        });
        Ok(Self { address, is_deaf, task })
    }

    /// From now on nothing arrives of processes that have not been heard so far, until [`DeafWay::hear_all`].
    pub fn hear_no_others(&self) {
        self.is_deaf.send_replace(true);
    }

    pub fn hear_all(&self) {
        self.is_deaf.send_replace(false);
    }
}

impl Drop for DeafWay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Forwards what NATS sends, without the messages that are not to arrive.
async fn forward(
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    is_deaf: watch::Receiver<bool>,
    heard: Heard,
) -> anyhow::Result<()> {
    let (mut from, mut line) = (BufReader::new(from), Vec::new());
    while from.read_until(b'\n', &mut line).await? > 0 {
        let mut arrives = true;
        if line.starts_with(b"MSG ") {
            let head = str::from_utf8(&line)?.len();
            let length = str::from_utf8(&line)?.split_whitespace().last().context("a length")?;
            line.resize(head + length.parse::<usize>()? + 2, 0);
            from.read_exact(&mut line[head..]).await?;
            if let Some(instance) = line[head..].get(INSTANCE).and_then(<[u8]>::first_chunk) {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                if !*is_deaf.borrow() {
                    heard.insert(*instance);
                }
                arrives = heard.contains(instance);
            }
        }
        if arrives {
            to.write_all(&line).await?;
        }
        line.clear();
    }
    Ok(())
}
