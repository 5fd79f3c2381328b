//! The service that carries out orders and answers queries. Every protocol that brings them, and the cluster, ends here.
//!
//! [`Order::route`](gateway_wire::bridge::Order::route) says which clients an order concerns, and
//! [`Query::aggregation`](gateway_wire::bridge::Query::aggregation) how the answers of several nodes become one.

mod client_info;
mod error;
mod inbox;
mod lists;
mod moved_clients;
mod moves;
mod orders;
mod queries;
mod remote;
mod send_options;
mod sent_messages;
mod tracked;
mod turning_away;
mod value;

pub use error::{NotFound, OrderError, ServiceError};
pub use inbox::{HubPost, Kept, NoticeTeller, Told};
pub use moved_clients::{CarriedMoves, MoveCounts, MovesAtRest};
pub use queries::Answers;
pub use sent_messages::CarriedTracked;
pub use turning_away::TurnedAway;

use std::net::SocketAddrV4;
use std::sync::Arc;

use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::config::Settings;
use crate::hub::Hub;
use crate::inbox::writer::WriterHandle;
use crate::protocol::websocket::MessageKind;
use moved_clients::MovedClients;
use sent_messages::SentMessages;

/// The clients of this node and of the cluster, as callers that push to them see them.
pub struct Gateway {
    hub: Arc<Hub>,
    node: SocketAddrV4,
    message_kind: MessageKind,
    /// The settings that count now.
    settings: watch::Receiver<Arc<Settings>>,
    /// The listeners as people know them, in the order of the settings.
    listeners: Vec<String>,
    cluster: Option<Arc<Cluster>>,
    moves: MovedClients,
    sent: Arc<SentMessages>,
    /// The store of messages for users who are not there, if there is one.
    inbox: Option<WriterHandle>,
}

impl Gateway {
    pub fn new(
        hub: Arc<Hub>,
        node: SocketAddrV4,
        settings: watch::Receiver<Arc<Settings>>,
        listeners: Vec<String>,
        cluster: Option<Arc<Cluster>>,
        inbox: Option<WriterHandle>,
    ) -> Self {
        let message_kind = settings.borrow().message_type;
        Self {
            hub,
            node,
            message_kind,
            settings,
            listeners,
            cluster,
            moves: MovedClients::default(),
            sent: Arc::default(),
            inbox,
        }
    }

    /// The address that stands in the client ids of this server.
    pub fn node(&self) -> SocketAddrV4 {
        self.node
    }

    /// The cluster, if this server is a node of one.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_deref()
    }

    /// How many clients have come from other nodes of the cluster, and how many were given to them.
    pub fn move_counts(&self) -> MoveCounts {
        self.moves.counts()
    }

    /// The clients of this node.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Writes the messages that orders have queued, at the end of a burst of orders.
    pub fn flush(&self) {
        self.hub.flush();
    }

    /// Waits until pushes of other nodes reach the clients that were bound here so far.
    pub async fn await_bindings(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.settled().await;
        }
    }
}
