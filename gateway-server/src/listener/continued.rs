//! Goes on with handshakes that another process has begun.

use std::net::TcpStream as StdTcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::watch;
use tracing::debug;

use super::ListenerSettings;
use super::accept::slots;
use super::begun::{BegunHandshake, MalformedHandshake};
use super::client_address::share_of;
use super::client_socket::ClientSocket;
use super::handshake::{Handshake, Incoming};
use super::refusal::Refusal;
use crate::net::{Permits, RateLimitKey, set_client_options};
use crate::service::Gateway;
use crate::telemetry::abuse_log;

/// The listeners of this process, as those go on here whose handshakes another process has begun.
pub struct ContinuedHandshakes {
    gateway: Arc<Gateway>,
    /// The settings of each listener, and its slots for these handshakes, which are as many as those for others.
    listeners: Vec<(NewestSettings, Arc<Permits<RateLimitKey>>)>,
}

/// The newest settings of a listener.
type NewestSettings = watch::Receiver<Arc<ListenerSettings>>;

impl ContinuedHandshakes {
    pub fn new(gateway: Arc<Gateway>, settings: Vec<NewestSettings>) -> Self {
        let listener = |settings: NewestSettings| {
            let slots = slots(&settings.borrow());
            (settings, slots)
        };
        Self { gateway, listeners: settings.into_iter().map(listener).collect() }
    }

    /// Goes on with a handshake in a task of its own.
    pub fn go_on(&self, bytes: &[u8], mut sockets: Vec<OwnedFd>) -> Result<(), MalformedHandshake> {
        let begun = BegunHandshake::from_bytes(bytes)?;
        let (Some(socket), true) = (sockets.pop(), sockets.is_empty()) else {
            return Err(MalformedHandshake::Sockets(sockets.len()));
        };
        let Some((settings, slots)) = self.listeners.get(usize::from(begun.listener)) else {
            return Err(MalformedHandshake::Listener(begun.listener));
        };
        let settings = Arc::clone(&settings.borrow());
        // The socket may also be a unix socket, on which the calls that are made for a TCP socket do the same.
        let socket = StdTcpStream::from(socket);
        let prepared = if begun.is_relayed { Ok(()) } else { set_client_options(&socket) };
        if let Err(error) = prepared.and_then(|()| socket.set_nonblocking(true)) {
            debug!(%error, "a client vanished during its handshake");
            return Ok(());
        }
        let key = share_of(begun.peer.ip(), settings.listener().proxy_protocol, settings.trusted_proxies());
        let Some(slot) = slots.enter(key) else {
            let refusal = Refusal::too_many_handshakes(slots.share());
            abuse_log::report(refusal.offence, Some(begun.peer), &refusal);
            return Ok(());
        };
        let Some(under_way) = settings.gate.begin() else { return Ok(()) };
        let incoming = Incoming::begun(begun, ClientSocket::new(socket), &settings);
        Handshake { incoming, gateway: Arc::clone(&self.gateway), settings, slot, under_way }.spawn(async {});
        Ok(())
    }
}
