//! The register port's listener: it accepts PHP's connections over TCP or a unix socket, and serves new ones in their order.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use super::backend::Backend;
use super::carry::attendance::{Kind, Rest};
use super::carry::form::{ConnectionAtRest, Origin};
use super::connection;
use super::ordered_handshakes::OrderedHandshake;
use super::register_port::RegisterPort;
use super::settings::RegisterPortSettings;
use super::stream::{ConnectionSlot, Incoming, rate_limit_key};
use crate::net::{give_way, keepalive, pause_after_failed_accept};
use crate::telemetry::abuse_log::{self, Offence};
use crate::telemetry::words::counted;

/// Number of accepts and finished handshakes in a row after which other tasks have their turn.
const TURNS_IN_A_ROW: u64 = 16;
/// Accepts connections until the task is dropped. Each connection gets the newest settings at its start. While PHP is at rest, nobody
/// is accepted.
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
    let name = port.name();
    let mut young = FuturesUnordered::new();
    let mut is_full = false;
    loop {
        let present = backend.attendance.enter(None, Kind::Port);
        // Those that came before go first.
        for ConnectionAtRest { origin, state, descriptors } in backend.attendance.returning(&name) {
            let (backend, settings) = (Arc::clone(&backend), settings.borrow().clone());
            young.push(OrderedHandshake::new(async move |done| {
                connection::go_on(origin, (state, descriptors), &backend, &settings, &done).await;
            }));
        }
        let called = backend.attendance.called(Rest::Calls);
        tokio::pin!(called);
        let mut is_called = false;
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
                () = &mut called, if !is_called => is_called = true,
                Some((slot, peer, socket)) = accept(&port, &settings, &mut is_full), if !is_called => {
                    let (backend, settings) = (Arc::clone(&backend), settings.borrow().clone());
                    let origin = Origin { port: name.clone(), peer };
                    let present = settings.counter.enter();
                    young.push(OrderedHandshake::new(async move |done| {
                        connection::begin(origin, socket, slot, &backend, &settings, &done).await;
                        drop(present);
                    }));
                }
                else => {}
            }
            if is_called && young.is_empty() {
                break;
            }
        }
        drop(present);
        backend.attendance.reopened().await;
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
    let slot = slots.enter(rate_limit_key(peer));
    if slot.is_none() {
        let detail = format!(
            "its address has {} not logged in, a quarter of max_register_connections",
            counted(slots.share(), "connection")
        );
        abuse_log::report(Offence::Register, peer, &detail);
    }
    Some((slot?, peer, socket))
}
