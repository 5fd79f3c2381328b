//! Accepts connections, each of which gets a task of its own for its handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::ListenerSettings;
use super::accept_pace::AcceptPace;
use super::client_address::share_of;
use super::handshake::{self, Incoming};
use super::refusal::Refusal;
use crate::net::{Permits, RateLimitKey, Turns, give_way, pause_after_failed_accept};
use crate::service::Gateway;
use crate::system::injected_faults;
use crate::system::memory_reserve::{self, NoMemory};
use crate::telemetry::abuse_log::{self, Offence};

/// Number of accepts in a row after which other tasks have their turn.
const ACCEPTED_IN_A_ROW: u64 = 16;

/// The queue of new connections whose handshake is about to begin. Eight of them go on at a time.
static TURNS: Turns = Turns::new(8);

/// Time after which a handshake makes room for another one, when there are no more slots.
const STALLED: Duration = Duration::from_secs(1);

/// Makes the slots for handshakes. One address may take three quarters of them, so that others find one.
pub(super) fn slots(settings: &ListenerSettings) -> Arc<Permits<RateLimitKey>> {
    let most = settings.max_handshakes;
    Permits::new(most, most - most / 4, STALLED)
}

/// Accepts connections until the task is dropped. Each connection gets the newest settings at its start.
pub async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    mut newest: watch::Receiver<Arc<ListenerSettings>>,
) {
    let mut settings = Arc::clone(&newest.borrow_and_update());
    let mut slots = self::slots(&settings);
    let mut pace = AcceptPace::new(settings.handshakes_per_second);
    for turn in 1_u64.. {
        if turn.is_multiple_of(ACCEPTED_IN_A_ROW) {
            give_way().await;
        }
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots, &mut pace) => accepted,
            Ok(()) = newest.changed() => {
                let old = std::mem::replace(&mut settings, Arc::clone(&newest.borrow_and_update()));
                if settings.max_handshakes != old.max_handshakes {
                    slots = self::slots(&settings);
                }
                if settings.handshakes_per_second != old.handshakes_per_second {
                    pace = AcceptPace::new(settings.handshakes_per_second);
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
        let key = share_of(peer.ip(), settings.proxy_protocol, &settings.trusted_proxies);
        let Some(slot) = slots.enter(key) else {
            let refusal = Refusal::too_many_handshakes(slots.share());
            abuse_log::report(refusal.offence, Some(peer), &refusal);
            continue;
        };
        // Once another process has taken over, nobody accepts here any more.
        let Some(under_way) = settings.gate.begin() else { continue };
        let incoming = Incoming::new(socket, peer, &settings);
        handshake::start(incoming, Arc::clone(&gateway), settings, slot, under_way, TURNS.next());
    }
}

/// Accepts a connection once there is a slot for its handshake. Until then it waits in the kernel's queue.
async fn accept(
    listener: &TcpListener,
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
