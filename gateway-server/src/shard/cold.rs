//! What few connections have, and those mostly for a moment.

use std::net::SocketAddr;

use rustls::ServerConnection;

use crate::protocol::PartialMessage;

#[derive(Default)]
pub(super) struct ColdState {
    pub(super) unfinished: Option<PartialMessage>,
    /// What is between the socket and the client's protocol.
    pub(super) tls: Option<Box<ServerConnection>>,
    /// Where it comes from, if a proxy has said so.
    pub(super) address: Option<SocketAddr>,
}

impl ColdState {
    pub(super) fn is_empty(&self) -> bool {
        let Self { unfinished, tls, address } = self;
        unfinished.is_none() && tls.is_none() && address.is_none()
    }
}
