//! Accepts connections, and performs the handshakes of those that have sent their requests already. Each of the others gets a task of its
//! own.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::error;

use super::ListenerSettings;
use super::accept_pace::AcceptPace;
use super::client_address::share_of;
use super::client_socket::ClientSocket;
use super::handshake::{Handshake, Incoming};
use super::refusal::Refusal;
use crate::net::{Acceptor, Permits, RateLimitKey, Turns, give_way, pause_after_failed_accept};
use crate::service::Gateway;
use crate::system::injected_faults;
use crate::system::memory_reserve::{self, NoMemory};
use crate::telemetry::abuse_log::{self, Offence};

/// Number of accepts in a row after which the shards write what the clients get first, and other tasks have their turn.
const ACCEPTED_IN_A_ROW: u64 = 16;

/// The queue of new connections whose handshake by TLS is about to begin. Eight of them go on at a time.
static TURNS: Turns = Turns::new(8);

/// Time after which a handshake makes room for another one, when there are no more slots.
const STALLED: Duration = Duration::from_secs(1);

/// Makes the slots for handshakes. One address may take three quarters of them, so that others find one.
pub(super) fn slots(settings: &ListenerSettings) -> Arc<Permits<RateLimitKey>> {
    let most = settings.server.max_handshakes;
    Permits::new(most, most - most / 4, STALLED)
}

/// Accepts connections until the task is dropped. Each connection gets the newest settings at its start.
pub async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    mut newest: watch::Receiver<Arc<ListenerSettings>>,
) {
    let listener = match Acceptor::new(listener) {
        Ok(listener) => listener,
        Err(error) => return error!(%error, "a listener cannot accept"),
    };
    let mut settings = Arc::clone(&newest.borrow_and_update());
    let mut slots = self::slots(&settings);
    let mut pace = AcceptPace::new(settings.server.handshakes_per_second);
    for turn in 1_u64.. {
        if turn.is_multiple_of(ACCEPTED_IN_A_ROW) {
            gateway.flush();
            give_way().await;
        }
        let accepted = tokio::select! {
            accepted = flush_before_wait(&gateway, accept(&listener, &slots, &mut pace)) => accepted,
            Ok(()) = newest.changed() => {
                let old = std::mem::replace(&mut settings, Arc::clone(&newest.borrow_and_update()));
                if settings.server.max_handshakes != old.server.max_handshakes {
                    slots = self::slots(&settings);
                }
                if settings.server.handshakes_per_second != old.server.handshakes_per_second {
                    pace = AcceptPace::new(settings.server.handshakes_per_second);
                }
                continue;
            }
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after_failed_accept(&error).await;
                continue;
            }
        };
        pace.count();
        if memory_reserve::is_short() {
            abuse_log::report(Offence::NoMemory, Some(peer), &NoMemory);
            continue;
        }
        injected_faults::strike("listener");
        let peer = canonical(peer);
        // Settings that have just changed count for this connection too.
        let settings = Arc::clone(&newest.borrow());
        let key = share_of(peer.ip(), settings.listener().proxy_protocol, settings.trusted_proxies());
        let Some(slot) = slots.enter(key) else {
            let refusal = Refusal::too_many_handshakes(slots.share());
            abuse_log::report(refusal.offence, Some(peer), &refusal);
            continue;
        };
        // Once another process has taken over, nobody accepts here any more.
        let Some(under_way) = settings.gate.begin() else { continue };
        let incoming = Incoming::new(ClientSocket::new(socket), peer, &settings);
        // TLS takes so much processor time that each core is to have its share of the handshakes.
        let is_costly = settings.certificate.is_some();
        let handshake = Handshake { incoming, gateway: Arc::clone(&gateway), settings, slot, under_way };
        if is_costly { handshake.spawn(TURNS.next()) } else { handshake.begin().await }
    }
}

/// Has the shards write what the clients of the last handshakes get first, before the next connection has to be waited for.
async fn flush_before_wait<T>(gateway: &Gateway, next: impl Future<Output = T>) -> T {
    let mut next = pin!(next);
    if let Poll::Ready(next) = poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await {
        return next;
    }
    gateway.flush();
    next.await
}

/// Accepts a connection once there is a slot for its handshake. Until then it waits in the kernel's queue.
async fn accept(
    listener: &Acceptor,
    slots: &Permits<RateLimitKey>,
    pace: &mut AcceptPace,
) -> io::Result<(TcpStream, SocketAddr)> {
    slots.room().await;
    pace.next().await;
    listener.accept().await
}

/// Writes an IPv4 address that came over an IPv6 socket as an IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
