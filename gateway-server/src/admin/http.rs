//! The HTTP server of the operations port. It bounds the number of connections, and the memory and time of each.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::{Operations, routes};
use crate::net::{Permit, Permits, RateLimitKey, bind_tcp, keepalive, pause_after_failed_accept};
use crate::telemetry::abuse_log::{self, Offence};

/// Number of connections at once. Fewer of them are served ([`super::SERVED`]), so one that is not can always make room for the
/// next: the oldest of the address that has most.
const CONNECTIONS: usize = 1024;
/// Number of connections of one other machine that may wait to be served.
const SHARE: usize = CONNECTIONS / 2;
/// Bytes of the longest request without its body.
const HEAD: usize = 16 << 10;
const HEADERS: usize = 64;
/// Time for the head of a request, and between two requests.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Age after which a connection takes no more requests, so that waiting ones have their turn.
const AGE: Duration = Duration::from_secs(60);
/// Time for the answer that is under way at that age.
const LAST_ANSWER: Duration = Duration::from_secs(20);

pub fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    bind_tcp(address, false, "operations")
}

/// Accepts connections until the task is dropped.
pub async fn serve(listener: TcpListener, operations: Arc<Operations>) {
    let slots = Permits::new(CONNECTIONS, SHARE, Duration::ZERO);
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let other_machine = Some(peer.ip().to_canonical()).filter(|address| !address.is_loopback());
                let Some(slot) = slots.enter(other_machine.map(RateLimitKey::of)) else { continue };
                let operations = Arc::clone(&operations);
                tokio::spawn(async move {
                    tokio::select! {
                        biased;
                        () = converse(socket, peer, &operations, &slot) => {}
                        () = slot.evicted() => {
                            abuse_log::report(Offence::Operations, Some(peer), &"it asked nothing while others wanted its place");
                        }
                    }
                });
            }
            Err(error) => pause_after_failed_accept(&error).await,
        }
    }
}

async fn converse(socket: TcpStream, peer: SocketAddr, operations: &Operations, slot: &Permit<RateLimitKey>) {
    let _ = socket.set_nodelay(true);
    let _ = keepalive::watch(&socket);
    let upgrader = OnceLock::new();
    let service = service_fn(async |request: Request<Incoming>| {
        if request.uri().path() == routes::UPGRADE {
            upgrader.get_or_init(|| operations.upgraders.enter());
        }
        let answer = routes::respond(request, peer, operations, slot).await;
        slot.doubt();
        Ok::<_, Infallible>(answer)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = sleep(AGE) => {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_ANSWER, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "a connection to the operations port ended");
    }
}
