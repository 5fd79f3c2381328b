//! What few connections have, and those mostly for a moment.

use rustls::ServerConnection;

use crate::client::Unfinished;

#[derive(Default)]
pub(super) struct Rare {
    pub(super) unfinished: Option<Unfinished>,
    /// What is between the socket and the client's protocol.
    pub(super) tls: Option<Box<ServerConnection>>,
}

impl Rare {
    pub(super) fn is_empty(&self) -> bool {
        let Self { unfinished, tls } = self;
        unfinished.is_none() && tls.is_none()
    }
}
