//! State that few connections have, most of them for a moment only.

use std::net::SocketAddr;

use crate::inbox::model::Device;
use crate::net::tls::TlsSession;
use crate::protocol::PartialMessage;

/// State that few connections have, kept in a box of its own so that all others do without its memory.
#[derive(Default)]
pub(super) struct ColdState {
    /// The message that has arrived in part, if there is one.
    pub(super) partial: Option<PartialMessage>,
    /// The TLS session between the socket and the client's protocol, for a connection that came through TLS.
    pub(super) tls: Option<Box<TlsSession>>,
    /// The client's address as a proxy has told it, or while the client is parked; without it the address is that of the socket's
    /// peer.
    pub(super) address: Option<SocketAddr>,
    /// The client's device in the inbox, if it has named one and there is an inbox.
    pub(super) device: Option<Device>,
}

impl ColdState {
    pub(super) fn is_empty(&self) -> bool {
        let Self { partial, tls, address, device } = self;
        partial.is_none() && tls.is_none() && address.is_none() && device.is_none()
    }
}
