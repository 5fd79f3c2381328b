//! The bridge's server side: one task for each PHP process.

mod api;
mod elsewhere;
mod in_flight;
mod io;
mod login;
mod merge;
mod options;
mod orders;
mod producers;
mod queries;
mod session;
mod tally;
mod worker;

pub use api::{Failed, Undone};
pub(super) use session::serve;

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::backend::Logins;
use crate::client::websocket::Kind;
use crate::cluster::Cluster;
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
    cluster: Option<Arc<Cluster>>,
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
        cluster: Option<Arc<Cluster>>,
    ) -> Self {
        let max_session = max_session.into();
        Self {
            hub,
            logins,
            instance,
            node,
            message_kind,
            max_session,
            cluster,
            producers: Producers::default(),
        }
    }

    /// For sessions that come from now on.
    pub fn set_max_session(&self, max_session: usize) {
        self.max_session.store(max_session, Ordering::Relaxed);
    }

    /// What client ids name for this server.
    pub fn node(&self) -> SocketAddrV4 {
        self.node
    }

    /// The other nodes, if this is one of several.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_deref()
    }

    /// Waits until what was bound here is found by pushes from other nodes.
    pub async fn settled(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.settled().await;
        }
    }

    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }
}
