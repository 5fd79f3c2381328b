//! The bridge's server side: one task for each PHP process.

mod api;
mod io;
mod login;
mod orders;
mod producers;
mod queries;
mod session;
mod tally;
mod worker;

pub use api::Failed;
pub(super) use session::serve;

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    max_session: AtomicUsize,
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
        let max_session = max_session.into();
        Self { hub, logins, instance, node, message_kind, max_session, producers: Producers::default() }
    }

    /// For sessions that come from now on.
    pub fn set_max_session(&self, max_session: usize) {
        self.max_session.store(max_session, Ordering::Relaxed);
    }

    /// What client ids name for this server.
    pub fn node(&self) -> SocketAddrV4 {
        self.node
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }
}
