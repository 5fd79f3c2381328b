//! The register port's listener: it accepts PHP's connections over TCP or a unix socket, and tells the protocol by the first
//! byte.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use gateway_wire::bridge::PREFACE_FIRST_BYTE;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

use super::backend::Backend;
use super::ordered_handshakes::{HandshakeDone, OrderedHandshake};
use super::stream::{ConnectionSlot, ConnectionSlots, Stream};
use super::{bridge, gatewayworker, tls};
use crate::net::tls::Certificate;
use crate::net::{Permits, RateLimitKey, bind_tcp, give_way, keepalive, pause_after_failed_accept};
use crate::telemetry::ConnectionCounter;
use crate::telemetry::abuse_log::{self, Offence};
use crate::telemetry::words::counted;

/// Number of accepts and finished handshakes in a row after which other tasks have their turn.
const TURNS_IN_A_ROW: u64 = 16;
/// Time after which a connection that has not logged in loses its slot to a new connection, when no other slot is free.
const STALLED: Duration = Duration::from_secs(1);

/// Makes the slots of all PHP connections. Connections of one other machine that have not logged in may take a quarter of them.
pub fn connection_slots(most: usize) -> Arc<ConnectionSlots> {
    Permits::new(most, most / 4, STALLED)
}

/// Settings of the register port that may change while the server runs.
#[derive(Clone, Debug)]
pub struct RegisterPortSettings {
    /// Time that a peer has for each step of its login: TLS, the first byte, the first words. It is never zero.
    pub handshake_timeout: Duration,
    /// The slots of all PHP connections, on all register ports together.
    pub slots: Arc<ConnectionSlots>,
    /// Counts the PHP connections that came and that are there.
    pub counter: Arc<ConnectionCounter>,
    /// The certificate with which PHP on other machines must speak TLS. With `None` nobody speaks TLS.
    pub certificate: Option<Arc<Certificate>>,
}

/// A bound register port.
pub enum RegisterPort {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// Removes the file of a unix socket when it is dropped.
pub struct SocketFile(PathBuf);

impl RegisterPort {
    pub fn tcp(address: SocketAddr) -> anyhow::Result<Self> {
        bind_tcp(address, false, "register").map(Self::Tcp)
    }

    /// Binds a unix socket. The file of a server that was killed is replaced; the socket of a running server is an error.
    pub fn unix(path: &Path) -> anyhow::Result<Self> {
        let context = || format!("cannot listen on the unix socket {} (register_unix)", path.display());
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(anyhow::anyhow!("another server listens there").context(context()));
        }
        let is_socket = std::fs::symlink_metadata(path)
            .is_ok_and(|file| std::os::unix::fs::FileTypeExt::is_socket(&file.file_type()));
        if is_socket {
            std::fs::remove_file(path).with_context(context)?;
        }
        let listener = UnixListener::bind(path).with_context(context)?;
        Ok(Self::Unix(listener, SocketFile(path.to_owned())))
    }

    /// The folder of the unix socket, when users other than its owner and group may put a socket of their own there
    /// while the server is down. The sticky bit of `/tmp` does not hinder them.
    pub fn open_folder(&self) -> Option<&Path> {
        let Self::Unix(_, SocketFile(path)) = self else { return None };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mode = std::fs::metadata(folder).ok()?.permissions().mode();
        (mode & 0o002 != 0).then_some(folder)
    }

    /// The TCP address, or `None` for a unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Accepts connections until the task is dropped. Each connection gets the newest settings at its start.
pub async fn serve(
    port: RegisterPort,
    backend: Arc<Backend>,
    settings: watch::Receiver<RegisterPortSettings>,
) {
    // Tokio's task budget would make a connection wait whose turn it is, and later ones would overtake it.
    tokio::task::unconstrained(serve_in_order(port, backend, settings)).await;
}

async fn serve_in_order(
    port: RegisterPort,
    backend: Arc<Backend>,
    settings: watch::Receiver<RegisterPortSettings>,
) {
    let mut young = FuturesUnordered::new();
    let mut is_full = false;
    for turn in 1_u64.. {
        if turn.is_multiple_of(TURNS_IN_A_ROW) {
            give_way().await;
        }
        tokio::select! {
            // Earlier connections go first, so that their orders take effect before those of later ones.
            biased;
            Some(grown) = young.next(), if !young.is_empty() => {
                if let Some(connection) = grown {
                    tokio::spawn(connection);
                }
            }
            Some((slot, peer, socket)) = accept(&port, &settings, &mut is_full) => {
                let (backend, settings) = (Arc::clone(&backend), settings.borrow().clone());
                let present = settings.counter.enter();
                young.push(OrderedHandshake::new(async move |done| {
                    slot.begin();
                    tokio::select! {
                        biased;
                        () = welcome(socket, peer, &backend, &settings, &done, &slot) => {}
                        () = slot.evicted() => {
                            let detail = "it had not logged in, and others wanted its place (max_register_connections)";
                            abuse_log::report(Offence::Register, peer, &detail);
                        }
                    }
                    drop((slot, present));
                }));
            }
            else => {}
        }
    }
}

/// Accepts one connection. Gives `None` when that failed, after a pause, or when the peer's address has too many connections.
/// `is_full` remembers between calls that all slots were taken, so that the log gets one line each time they run out.
async fn accept(
    port: &RegisterPort,
    settings: &watch::Receiver<RegisterPortSettings>,
    is_full: &mut bool,
) -> Option<(ConnectionSlot, Option<SocketAddr>, Incoming)> {
    let slots = Arc::clone(&settings.borrow().slots);
    let was_full = std::mem::replace(is_full, slots.is_full());
    if *is_full && !was_full {
        let most = slots.most();
        let detail =
            format!("there are {most} from PHP already, the most (max_register_connections); it waits");
        abuse_log::report(Offence::RegisterFull, None, &detail);
    }
    slots.room().await;
    let accepted = match port {
        RegisterPort::Tcp(listener) => listener.accept().await.and_then(|(socket, peer)| {
            socket.set_nodelay(true)?;
            keepalive::watch(&socket)?;
            Ok((Some(peer), Incoming::Tcp(socket)))
        }),
        RegisterPort::Unix(listener, _) => {
            listener.accept().await.map(|(socket, _)| (None, Incoming::Unix(socket)))
        }
    };
    let (peer, socket) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            pause_after_failed_accept(&error).await;
            return None;
        }
    };
    // Connections from this machine have no share to exceed, as PHP itself runs here.
    let other_machine = peer.map(|peer| peer.ip().to_canonical()).filter(|address| !address.is_loopback());
    let slot = slots.enter(other_machine.map(RateLimitKey::of));
    if slot.is_none() {
        let detail = format!(
            "its address has {} not logged in, a quarter of max_register_connections",
            counted(slots.share(), "connection")
        );
        abuse_log::report(Offence::Register, peer, &detail);
    }
    Some((slot?, peer, socket))
}

enum Incoming {
    Tcp(TcpStream),
    Unix(UnixStream),
}

async fn welcome(
    socket: Incoming,
    peer: Option<SocketAddr>,
    backend: &Backend,
    settings: &RegisterPortSettings,
    done: &HandshakeDone,
    slot: &ConnectionSlot,
) {
    let timeout = settings.handshake_timeout;
    let (socket, is_tls): (Box<dyn Stream>, _) = match (socket, &settings.certificate) {
        (Incoming::Unix(socket), _) => (Box::new(socket), false),
        (Incoming::Tcp(socket), None) => (Box::new(socket), false),
        (Incoming::Tcp(socket), Some(certificate)) => {
            let is_own = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
            match tokio::time::timeout(timeout, tls::accept(socket, certificate, is_own)).await {
                Ok(Ok(accepted)) => accepted,
                Ok(Err(error)) => return abuse_log::report(Offence::Register, peer, &error),
                Err(_) => {
                    let detail = format!("no TLS within {timeout:?} (handshake_timeout)");
                    return abuse_log::report(Offence::Register, peer, &detail);
                }
            }
        }
    };
    greet(socket, is_tls, peer, backend, timeout, done, slot).await;
}

async fn greet(
    mut socket: Box<dyn Stream>,
    is_tls: bool,
    peer: Option<SocketAddr>,
    backend: &Backend,
    timeout: Duration,
    done: &HandshakeDone,
    slot: &ConnectionSlot,
) {
    let mut first = [0; 1];
    match tokio::time::timeout(timeout, socket.read_exact(&mut first)).await {
        Ok(Ok(_)) => {}
        // The peer closed without a word, as a port check does.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return,
        Ok(Err(error)) => return abuse_log::report(Offence::Register, peer, &error),
        Err(_) => {
            let detail = format!("it said nothing within {timeout:?} (handshake_timeout)");
            return abuse_log::report(Offence::Register, peer, &detail);
        }
    }
    if first[0] != 0 {
        done.is_done();
    }
    match first[0] {
        PREFACE_FIRST_BYTE => bridge::serve(socket, peer, backend, timeout, slot).await,
        _ if is_tls => {
            abuse_log::report(
                Offence::Register,
                peer,
                &"over TLS only the extension's bridge is spoken here",
            );
        }
        b'{' => {
            gatewayworker::serve_register(socket, peer, &backend.gatewayworker, timeout, slot).await;
        }
        // A packet of the internal protocol starts with its length, whose first byte is zero because the length is below 2²⁴.
        0 => gatewayworker::serve_internal(socket, peer, backend, timeout, done, slot).await,
        other => {
            let detail = format!("its first byte {other:#04x} opens no protocol that is spoken here");
            abuse_log::report(Offence::Register, peer, &detail);
        }
    }
}
