//! A TCP proxy of many connections, each of which can be cut at any time and in any way that networks have.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What becomes of a connection through the proxy.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// It goes on.
    Forward,
    /// Both its ends are reset at once.
    Reset,
    /// Nothing is forwarded any more, and neither end is closed: each believes in the other.
    Silence,
    /// Nothing is forwarded for this time, as when the proxy or the network stands still.
    Stall(Duration),
    /// So many more bytes come from the server, wherever in a frame that is; then both ends are reset.
    AfterDown(usize),
    /// So many more bytes go to the server, wherever in a frame that is; then both ends are reset.
    AfterUp(usize),
}

/// The fates of connections, by the addresses of their connecting ends.
type Fates = Arc<Mutex<HashMap<SocketAddr, watch::Sender<Fate>>>>;

/// The proxy ends when this is dropped, and all its connections do.
pub struct CuttingProxy {
    pub address: SocketAddr,
    to: SocketAddr,
    fates: Fates,
    task: Mutex<JoinHandle<()>>,
}

impl CuttingProxy {
    /// Starts a proxy in front of `to`.
    pub async fn start(to: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, fates) = (listener.local_addr()?, Fates::default());
        let task = Mutex::new(tokio::spawn(serve(listener, to, Arc::clone(&fates))));
        Ok(Self { address, to, fates, task })
    }

    /// Begins a connection to the proxy that has this fate from its first byte on. Gives the address that it comes from.
    pub async fn connect(&self, fate: Fate) -> anyhow::Result<(TcpStream, SocketAddr)> {
        let socket = TcpSocket::new_v4()?;
        socket.bind("127.0.0.1:0".parse()?)?;
        let from = socket.local_addr()?;
        // Whatever came from this address before is no more.
        lock(&self.fates).insert(from, watch::Sender::new(fate));
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok((stream, from))
    }

    /// The addresses from which connections come now.
    pub fn connections(&self) -> Vec<SocketAddr> {
        lock(&self.fates).keys().copied().collect()
    }

    /// Decides about the connection that comes from this address, unless it has ended.
    pub fn decide(&self, from: SocketAddr, fate: Fate) {
        if let Some(sender) = lock(&self.fates).get(&from) {
            sender.send_replace(fate);
        }
    }

    /// Dies with all its connections, as a process does that is killed, and lives again at the same address after a time in which
    /// connections are refused.
    pub async fn die_for(&self, time: Duration) -> anyhow::Result<()> {
        let task = std::mem::replace(&mut *lock(&self.task), tokio::spawn(async {}));
        task.abort();
        // Only once the task has ended, its sockets are closed.
        let _ = task.await;
        tokio::time::sleep(time).await;
        let listener = TcpListener::bind(self.address).await?;
        *lock(&self.task) = tokio::spawn(serve(listener, self.to, Arc::clone(&self.fates)));
        Ok(())
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        lock(&self.task).abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, to: SocketAddr, fates: Fates) {
    // The connections end with this task, which owns them.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, from)) = accepted else { continue };
                let fates = Arc::clone(&fates);
                connections.spawn(async move {
                    let sender = watch::Sender::new(Fate::Forward);
                    let sender = lock(&fates).entry(from).or_insert(sender).clone();
                    // Whatever ended a connection, its ends have noticed.
                    let _ = carry(client, to, sender.subscribe()).await;
                    // A newer connection may come from the same address.
                    let mut fates = lock(&fates);
                    if fates.get(&from).is_some_and(|other| other.same_channel(&sender)) {
                        fates.remove(&from);
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut client: TcpStream, to: SocketAddr, fate: watch::Receiver<Fate>) -> io::Result<()> {
    let mut server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    match forward(&mut client, &mut server, fate).await {
        Ok(Last::Closed) => return Ok(()),
        // The server resets its end when the page has come back over another connection.
        Ok(Last::Silent) => drop(server.ready(Interest::ERROR).await?),
        Err(_) => {}
    }
    for socket in [client, server] {
        // With a linger of zero, closing sends RST whatever still waits to be sent or read.
        socket.set_zero_linger()?;
    }
    Ok(())
}

/// How forwarding ended, other than by an error or a reset.
enum Last {
    Closed,
    Silent,
}

async fn forward(
    client: &mut TcpStream,
    server: &mut TcpStream,
    mut fate: watch::Receiver<Fate>,
) -> io::Result<Last> {
    let (left_up, left_down) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(usize::MAX));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let both = async {
        tokio::try_join!(copy(from_client, to_server, &left_up), copy(from_server, to_client, &left_down))
    };
    tokio::pin!(both);
    loop {
        let decided = *fate.borrow_and_update();
        match decided {
            Fate::Forward => {}
            Fate::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
            Fate::Silence => return Ok(Last::Silent),
            Fate::Stall(time) => tokio::time::sleep(time).await,
            Fate::AfterDown(bytes) => left_down.store(bytes, Ordering::Relaxed),
            Fate::AfterUp(bytes) => left_up.store(bytes, Ordering::Relaxed),
        }
        tokio::select! {
            biased;
            Ok(()) = fate.changed() => {}
            ended = &mut both => return ended.map(|_| Last::Closed),
        }
    }
}

/// Copies until the end, or gives an error when no bytes are left to copy.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    left: &AtomicUsize,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        // What is left may have changed while nothing came.
        let now = left.load(Ordering::Relaxed);
        to.write_all(&buffer[..length.min(now)]).await?;
        if length >= now {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if now != usize::MAX {
            left.fetch_sub(length, Ordering::Relaxed);
        }
    }
}
