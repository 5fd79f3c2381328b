//! A connection that speaks the internal protocol, from its first packet to its end.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use serde_bytes::ByteBuf;

use super::session::Session;
use super::worker;
use crate::events::Delivery;
use crate::php::backend::Backend;
use crate::php::carry::attendance::Presence;
use crate::php::carry::form::{BusinessWorkerAtRest, InternalAtRest, StateAtRest};
use crate::php::ordered_handshakes::HandshakeDone;
use crate::php::stream::{ConnectionSlot, Stream};

/// Time that a peer has to read its last answers before the connection is closed.
const LAST_WORD: Duration = Duration::from_secs(1);

/// A new connection, whose first byte, a zero, has been read.
pub(in crate::php) fn new(backend: &Backend) -> InternalAtRest {
    let is_trusted = backend.gatewayworker.logins.is_open();
    InternalAtRest { input: ByteBuf::from([0]), is_trusted, ..InternalAtRest::default() }
}

/// Serves a connection to its end, or until it comes to rest.
pub(in crate::php) async fn serve(
    mut socket: Box<dyn Stream>,
    peer: Option<SocketAddr>,
    backend: &Backend,
    timeout: Duration,
    handshake: (&HandshakeDone, &ConnectionSlot, &Presence<'_>),
    at_rest: InternalAtRest,
) -> Option<(StateAtRest, OwnedFd)> {
    let (done, slot, presence) = handshake;
    let mut session = Session::new(peer, backend, slot, at_rest);
    let ended = match session.until_worker(&mut socket, timeout, done).await {
        Ok(None) => {
            let at_rest = StateAtRest::Internal(session.at_rest());
            match socket.duplicate() {
                Ok(descriptor) => return Some((at_rest, descriptor.into())),
                Err(error) => error.into(),
            }
        }
        Ok(Some(name)) => {
            presence.is_worker();
            // The protocol has no event for a move.
            let delivery = Delivery::join(&backend.workers, backend.gateway.hub(), name, false);
            match Box::pin(worker::serve(session, socket, delivery, None)).await {
                Ok(at_rest) => return Some(at_rest),
                Err(ended) => ended,
            }
        }
        Err(ended) => {
            // What the peer ordered before the end takes effect, and the queries that it sent before are answered.
            backend.gateway.flush();
            if !session.output.is_empty() {
                let _ = tokio::time::timeout(LAST_WORD, session.say_goodbye(&mut socket)).await;
            }
            ended
        }
    };
    ended.report(peer);
    None
}

/// Goes on with the connection of a BusinessWorker process. Without a socket it is one that could not be taken over.
pub(in crate::php) async fn serve_worker(
    socket: Option<Box<dyn Stream>>,
    peer: Option<SocketAddr>,
    backend: &Backend,
    slot: &ConnectionSlot,
    presence: &Presence<'_>,
    at_rest: BusinessWorkerAtRest,
) -> Option<(StateAtRest, OwnedFd)> {
    presence.is_worker();
    let mut delivery = Delivery::rejoin(&backend.workers, backend.gateway.hub(), &at_rest.name)?;
    let Some(socket) = socket else {
        delivery.leave(worker::untold(at_rest)).await;
        return None;
    };
    let internal = InternalAtRest {
        input: at_rest.input.clone(),
        is_trusted: true,
        has_ordered: true,
        ..InternalAtRest::default()
    };
    let mut session = Session::new(peer, backend, slot, internal);
    session.worker = Some(at_rest.name.clone());
    match worker::serve(session, socket, delivery, Some(at_rest)).await {
        Ok(at_rest) => Some(at_rest),
        Err(ended) => {
            ended.report(peer);
            None
        }
    }
}
