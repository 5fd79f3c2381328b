//! What the server does for whoever pushes: every protocol that brings orders and queries, and the cluster, comes here.
//!
//! An order says itself whom it concerns ([`Order::route`](gateway_wire::bridge::Order::route)), and a query how the answers of several
//! nodes become one ([`Query::gather`](gateway_wire::bridge::Query::gather)).

mod error;
mod lists;
mod orders;
mod queries;
mod remote;
mod send_options;
mod value;

pub use error::{OrderError, ServiceError};
pub use queries::Answers;

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cluster::Cluster;
use crate::hub::Hub;
use crate::protocol::websocket::MessageKind;

/// The clients of this node and of the cluster, as those see them who push.
pub struct Gateway {
    hub: Arc<Hub>,
    node: SocketAddrV4,
    message_kind: MessageKind,
    /// Bytes of the longest session.
    max_session: AtomicUsize,
    cluster: Option<Arc<Cluster>>,
}

impl Gateway {
    pub fn new(
        hub: Arc<Hub>,
        node: SocketAddrV4,
        message_kind: MessageKind,
        max_session: usize,
        cluster: Option<Arc<Cluster>>,
    ) -> Self {
        Self { hub, node, message_kind, max_session: max_session.into(), cluster }
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

    /// The clients of this node.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Writes what was ordered, at the end of a burst.
    pub fn flush(&self) {
        self.hub.flush();
    }

    /// Waits until what was bound here is found by pushes from other nodes.
    pub async fn await_bindings(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.settled().await;
        }
    }
}
