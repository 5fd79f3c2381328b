//! The bridge's server side: one task for each PHP process.

mod io;
mod login;
mod orders;
mod producers;
mod queries;
mod session;
mod tally;
mod worker;

pub(super) use session::serve;

use std::net::SocketAddrV4;
use std::sync::Arc;

use crate::backend::Logins;
use crate::client::websocket::Kind;
use crate::shard::Hub;
use producers::Producers;

/// What all bridge connections share.
pub struct Bridge {
    hub: Arc<Hub>,
    logins: Arc<Logins>,
    /// Tells this server process from the one before it.
    instance: u64,
    node: SocketAddrV4,
    message_kind: Kind,
    /// Bytes of the longest session.
    max_session: usize,
    producers: Producers,
}

impl Bridge {
    pub fn new(
        hub: Arc<Hub>,
        logins: Arc<Logins>,
        instance: u64,
        node: SocketAddrV4,
        message_kind: Kind,
        max_session: usize,
    ) -> Self {
        Self { hub, logins, instance, node, message_kind, max_session, producers: Producers::default() }
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }
}
