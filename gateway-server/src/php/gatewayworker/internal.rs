//! A connection that speaks the internal protocol, from its first packet to its end.

use std::net::SocketAddr;
use std::time::Duration;

use super::input::Input;
use super::session::Session;
use super::worker;
use crate::php::backend::Backend;
use crate::php::ordered_handshakes::HandshakeDone;
use crate::php::stream::{ConnectionSlot, Stream};

/// Time that a peer has to read its last answers before the connection is closed.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Serves a connection whose first byte, a zero, has been read.
pub(in crate::php) async fn serve(
    mut socket: Box<dyn Stream>,
    peer: Option<SocketAddr>,
    backend: &Backend,
    timeout: Duration,
    done: &HandshakeDone,
    slot: &ConnectionSlot,
) {
    let mut session = Session {
        peer,
        slot,
        backend,
        input: Input::new(0),
        held: backend.budget.held(),
        output: Vec::new(),
        is_trusted: backend.gatewayworker.logins.is_open(),
        has_ordered: false,
        worker: None,
    };
    let ended = match session.until_worker(&mut socket, timeout, done).await {
        Ok(name) => worker::serve(session, socket, name).await,
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
}
