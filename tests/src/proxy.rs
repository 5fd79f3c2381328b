//! TCP proxies that reset their connections in the middle of what they carry.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The proxy serves one connection at a time, and ends when this is dropped.
pub struct ResettingProxy {
    pub address: SocketAddr,
    task: JoinHandle<anyhow::Result<()>>,
}

impl ResettingProxy {
    /// Starts a proxy in front of `to`. For each number in `cuts` it forwards that many more bytes from the connecting side
    /// and then resets both connections; the connection after the last of them is not reset.
    pub async fn start(to: SocketAddr, cuts: Vec<usize>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            for cut in cuts {
                let (mut client, mut server) = accept(&listener, to).await?;
                forward(&mut client, &mut server, cut).await?;
                for socket in [client, server] {
                    // With a linger of zero, closing sends RST whatever still waits to be sent or read.
                    socket.set_zero_linger()?;
                }
            }
            let (mut client, mut server) = accept(&listener, to).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await?;
            Ok(())
        });
        Ok(Self { address, task })
    }

    /// Waits until the last connection has ended without an error.
    pub async fn ended(mut self) -> anyhow::Result<()> {
        crate::soon("the last connection's end", &mut self.task).await??
    }
}

impl Drop for ResettingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A proxy that serves any number of connections, and resets them when the test says so. It ends when this is dropped.
pub struct OutageProxy {
    pub address: SocketAddr,
    network: watch::Sender<Network>,
    task: JoinHandle<anyhow::Result<()>>,
}

/// What becomes of the connections of a [`OutageProxy`].
#[derive(Clone, Copy)]
struct Network {
    /// How often all connections were reset.
    cuts: usize,
    /// Whether new connections are reset too.
    is_down: bool,
}

impl OutageProxy {
    /// Starts a proxy in front of `to`.
    pub async fn start(to: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (network, state) = watch::channel(Network { cuts: 0, is_down: false });
        let task = tokio::spawn(async move {
            // The connections end with this set.
            let mut connections = JoinSet::new();
            loop {
                let (mut client, mut server) = accept(&listener, to).await?;
                let mut state = state.clone();
                let Network { cuts, is_down } = *state.borrow_and_update();
                connections.spawn(async move {
                    let is_cut = async { is_down || state.wait_for(|now| now.cuts > cuts).await.is_ok() };
                    tokio::select! {
                        _ = is_cut => for socket in [client, server] {
                            // With a linger of zero, closing sends RST whatever still waits to be sent or read.
                            let _ = socket.set_zero_linger();
                        },
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    }
                });
            }
        });
        Ok(Self { address, network, task })
    }

    /// Resets all connections.
    pub fn cut(&self) {
        self.network.send_modify(|network| network.cuts += 1);
    }

    /// Resets all connections, and those that come until [`OutageProxy::restore`].
    pub fn take_down(&self) {
        self.network.send_modify(|network| *network = Network { cuts: network.cuts + 1, is_down: true });
    }

    pub fn restore(&self) {
        self.network.send_modify(|network| network.is_down = false);
    }
}

impl Drop for OutageProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: &TcpListener, to: SocketAddr) -> anyhow::Result<(TcpStream, TcpStream)> {
    let (client, _) = listener.accept().await?;
    let server = TcpStream::connect(to).await.context("connecting to the server")?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok((client, server))
}

/// Forwards both ways until `left` bytes have gone from client to server.
async fn forward(client: &mut TcpStream, server: &mut TcpStream, mut left: usize) -> anyhow::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let upward = async {
        let mut buffer = vec![0; 1 << 16];
        while left > 0 {
            let room = left.min(buffer.len());
            let length = from_client.read(&mut buffer[..room]).await?;
            anyhow::ensure!(length > 0, "PHP closed the connection");
            to_server.write_all(&buffer[..length]).await?;
            left -= length;
        }
        Ok(())
    };
    let downward = async {
        tokio::io::copy(&mut from_server, &mut to_client).await?;
        anyhow::bail!("the server closed the connection")
    };
    tokio::select! {
        done = upward => done,
        done = downward => done,
    }
}
