//! A connection from PHP, from its first byte or from where it came to rest: the first byte tells which protocol it speaks.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use gateway_wire::bridge::PREFACE_FIRST_BYTE;
use tokio::io::AsyncReadExt as _;

use super::backend::Backend;
use super::carry::attendance::{Kind, Presence, Rest};
use super::carry::form::{ConnectionAtRest, Origin, StateAtRest};
use super::ordered_handshakes::HandshakeDone;
use super::settings::RegisterPortSettings;
use super::stream::{ConnectionSlot, Incoming, Stream, rate_limit_key};
use super::{bridge, gatewayworker, tls};
use crate::telemetry::abuse_log::{self, Offence};

/// The state in which a connection has come to rest, and its descriptors.
type AtRest = (StateAtRest, Vec<OwnedFd>);

/// What a connection has besides its socket.
struct Connection<'a> {
    origin: &'a Origin,
    backend: &'a Backend,
    settings: &'a RegisterPortSettings,
    done: &'a HandshakeDone,
    slot: &'a ConnectionSlot,
    presence: &'a Presence<'a>,
}

/// Serves a connection that has just been accepted, to its end or until it comes to rest.
pub(super) async fn begin(
    origin: Origin,
    socket: Incoming,
    slot: ConnectionSlot,
    backend: &Backend,
    settings: &RegisterPortSettings,
    done: &HandshakeDone,
) {
    slot.begin();
    let presence = backend.attendance.enter(origin.peer, Kind::Call);
    let connection =
        Connection { origin: &origin, backend, settings, done, slot: &slot, presence: &presence };
    let Some((state, descriptors)) = connection.until_evicted(connection.welcome(socket)).await else {
        return;
    };
    let at_rest = ConnectionAtRest { origin: origin.clone(), state, descriptors };
    if let Some(ConnectionAtRest { state, descriptors, .. }) = presence.rest(at_rest) {
        connection.go_on((state, descriptors)).await;
    }
}

/// Goes on with a connection that has come to rest, in this process or in the one before it.
///
/// Its slot and its count begin anew. That lets in nobody who does not belong: who had shown the secret has its slot for good again, who
/// had not counts with the others of its address, and wrong guesses count from zero once.
pub(super) async fn go_on(
    origin: Origin,
    at_rest: AtRest,
    backend: &Backend,
    settings: &RegisterPortSettings,
    done: &HandshakeDone,
) {
    // The share of an address may be used up by others that came at once: then this connection closes, as theirs would.
    let Some(slot) = settings.slots.enter(rate_limit_key(origin.peer)) else { return };
    let counted = settings.counter.enter();
    let presence = backend.attendance.enter(origin.peer, Kind::Call);
    let connection =
        Connection { origin: &origin, backend, settings, done, slot: &slot, presence: &presence };
    connection.go_on(at_rest).await;
    drop(counted);
}

impl Connection<'_> {
    /// Goes on until the connection ends or rests. It goes on again when it has come to rest and nobody is asked to rest any more.
    async fn go_on(&self, mut at_rest: AtRest) {
        loop {
            let (state, descriptors) = at_rest;
            let Some((state, descriptors)) = self.until_evicted(self.resume(state, descriptors)).await else {
                return;
            };
            let origin = self.origin.clone();
            match self.presence.rest(ConnectionAtRest { origin, state, descriptors }) {
                None => return,
                Some(back) => at_rest = (back.state, back.descriptors),
            }
        }
    }

    async fn until_evicted(&self, served: impl Future<Output = Option<AtRest>>) -> Option<AtRest> {
        tokio::select! {
            biased;
            at_rest = served => at_rest,
            () = self.slot.evicted() => {
                let detail = "it had not logged in, and others wanted its place (max_register_connections)";
                abuse_log::report(Offence::Register, self.origin.peer, &detail);
                None
            }
        }
    }

    async fn resume(&self, state: StateAtRest, descriptors: Vec<OwnedFd>) -> Option<AtRest> {
        let &Self { origin: &Origin { peer, .. }, backend, settings, done, slot, presence } = self;
        let timeout = settings.server.handshake_timeout;
        let mut descriptors = descriptors.into_iter();
        let mut socket = || Incoming::again(descriptors.next()?).ok();
        if !state.is_young() {
            done.is_done();
        }
        let one = |(state, descriptor): (StateAtRest, OwnedFd)| (state, vec![descriptor]);
        match state {
            StateAtRest::New => self.welcome(socket()?).await,
            StateAtRest::Register(at_rest) => {
                let service = &backend.gatewayworker;
                let socket = socket()?.into_stream();
                let served = gatewayworker::serve_register(
                    socket,
                    peer,
                    service,
                    &backend.attendance,
                    timeout,
                    slot,
                    at_rest,
                );
                Box::pin(served).await.map(one)
            }
            StateAtRest::Internal(at_rest) => {
                let socket = socket()?.into_stream();
                let handshake = (done, slot, presence);
                let served =
                    gatewayworker::serve_internal(socket, peer, backend, timeout, handshake, at_rest);
                Box::pin(served).await.map(one)
            }
            StateAtRest::BusinessWorker(at_rest) => {
                let socket = socket().map(Incoming::into_stream);
                let served = gatewayworker::serve_worker(socket, peer, backend, slot, presence, at_rest);
                Box::pin(served).await.map(one)
            }
            StateAtRest::Worker(at_rest) => {
                let socket = if at_rest.has_socket { socket().map(Incoming::into_stream) } else { None };
                let progress_file = descriptors.next();
                let served =
                    bridge::serve_again(socket, peer, backend, slot, presence, at_rest, progress_file);
                Box::pin(served).await
            }
        }
    }

    async fn welcome(&self, socket: Incoming) -> Option<AtRest> {
        let &Self { origin: &Origin { peer, .. }, backend, settings, .. } = self;
        let timeout = settings.server.handshake_timeout;
        let (socket, is_tls): (Box<dyn Stream>, _) = match (socket, &settings.certificate) {
            (Incoming::Tcp(socket), Some(certificate)) => {
                let mut first_byte = [0];
                let first = async {
                    tokio::select! {
                        biased;
                        () = backend.attendance.called(Rest::Calls) => Ok(None),
                        peeked = socket.peek(&mut first_byte) => peeked.map(Some),
                    }
                };
                match tokio::time::timeout(timeout, first).await {
                    Ok(Ok(None)) => return rest(&socket, StateAtRest::New),
                    Ok(Err(error)) => {
                        abuse_log::report(Offence::Register, peer, &error);
                        return None;
                    }
                    Ok(Ok(Some(_))) | Err(_) => {}
                }
                let is_own = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
                let accepted = tokio::select! {
                    biased;
                    accepted = tokio::time::timeout(timeout, tls::accept(socket, certificate, is_own)) => accepted,
                    // What TLS has agreed on so far is in this process alone.
                    () = backend.attendance.late() => return None,
                };
                match accepted {
                    Ok(Ok(accepted)) => accepted,
                    Ok(Err(error)) => {
                        abuse_log::report(Offence::Register, peer, &error);
                        return None;
                    }
                    Err(_) => {
                        let detail = format!("no TLS within {timeout:?} (handshake_timeout)");
                        abuse_log::report(Offence::Register, peer, &detail);
                        return None;
                    }
                }
            }
            (socket, _) => (socket.into_stream(), false),
        };
        self.greet(socket, is_tls, timeout).await
    }

    async fn greet(&self, mut socket: Box<dyn Stream>, is_tls: bool, timeout: Duration) -> Option<AtRest> {
        let &Self { origin: &Origin { peer, .. }, backend, done, slot, presence, .. } = self;
        let mut first = [0; 1];
        let read = async {
            // What is there already is read before connections that came later have their turn.
            match socket.read_now(&mut first) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            tokio::select! {
                biased;
                () = backend.attendance.called(Rest::Calls), if !is_tls => Ok(false),
                () = backend.attendance.late(), if is_tls => Err(io::ErrorKind::UnexpectedEof.into()),
                read = socket.read_exact(&mut first) => read.map(|_| true),
            }
        };
        match tokio::time::timeout(timeout, read).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                let descriptor = socket.duplicate().ok()?;
                return Some((StateAtRest::New, vec![descriptor.into()]));
            }
            // The peer closed without a word, as a port check does.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return None,
            Ok(Err(error)) => {
                abuse_log::report(Offence::Register, peer, &error);
                return None;
            }
            Err(_) => {
                let detail = format!("it said nothing within {timeout:?} (handshake_timeout)");
                abuse_log::report(Offence::Register, peer, &detail);
                return None;
            }
        }
        if first[0] != 0 {
            done.is_done();
        }
        let one = |(state, descriptor): (StateAtRest, OwnedFd)| (state, vec![descriptor]);
        match first[0] {
            // What a protocol needs is taken once it is spoken, so that those who say nothing take little.
            PREFACE_FIRST_BYTE => {
                Box::pin(bridge::serve(socket, peer, backend, timeout, slot, presence)).await
            }
            _ if is_tls => {
                let detail = "over TLS only the extension's bridge is spoken here";
                abuse_log::report(Offence::Register, peer, &detail);
                None
            }
            b'{' => {
                let (service, attendance) = (&backend.gatewayworker, &backend.attendance);
                let new = gatewayworker::new_register();
                let served =
                    gatewayworker::serve_register(socket, peer, service, attendance, timeout, slot, new);
                Box::pin(served).await.map(one)
            }
            // A packet of the internal protocol starts with its length, whose first byte is zero because the length is below 2²⁴.
            0 => {
                let (new, handshake) = (gatewayworker::new_internal(backend), (done, slot, presence));
                let served = gatewayworker::serve_internal(socket, peer, backend, timeout, handshake, new);
                Box::pin(served).await.map(one)
            }
            other => {
                let detail = format!("its first byte {other:#04x} opens no protocol that is spoken here");
                abuse_log::report(Offence::Register, peer, &detail);
                None
            }
        }
    }
}

/// A socket that has come to rest. Gives `None`, so that the connection closes, when there is no descriptor for it.
fn rest(socket: &impl Stream, state: StateAtRest) -> Option<AtRest> {
    Some((state, vec![socket.duplicate().ok()?.into()]))
}
