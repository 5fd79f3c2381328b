//! A cluster of several servers, its nodes, which send each other orders and queries over NATS and so work as one.
//!
//! A push to a uid or group is published on a subject of that name, to which the nodes with such clients subscribe. Orders are
//! numbered, and each arrives at each node once and in order: when a node may have missed orders, because it or their sender lost
//! its connection to NATS, it has all orders after the last one that it has sent again. Every node sends a heartbeat each half
//! second.
//!
//! A stranger who may use the NATS servers can record frames and send them again. So a node is believed only once it has repeated
//! this node's nonce in a greeting, and from then on only frames with rising serial numbers are taken. Clocks are not compared,
//! as those of machines differ.

mod authenticator;
mod broker;
mod carry;
mod catch_up;
mod early_link;
mod fence;
mod frame;
mod heartbeat;
mod host;
mod link;
mod marks;
mod membership;
mod move_request;
mod moves;
pub mod nats;
mod peer;
mod pending_requests;
mod queue;
mod reassembly;
mod receiver;
mod remote;
mod resend;
mod rest;
mod resting;
mod strangers;
mod subject;
mod subscriptions;
#[cfg(test)]
mod testing;

pub use carry::{CarriedCluster, CarriedOrders, MalformedCluster};
pub use early_link::EarlyLink;
pub use fence::ClosedFence;
pub use host::{Host, WITHOUT_CLIENTS};
pub use marks::Marks;
pub use membership::Sighting;
pub use move_request::{MoveReply, MoveRequest, Whereabouts};
pub use subject::SubjectTarget;

use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tracing::warn;

use crate::config::Settings;
use crate::shard::{NameKind, NameWatch};
use authenticator::FrameAuthenticator;
use broker::Connection;
use fence::Fence;
use frame::{FrameKind, Header};
use marks::LatestMarks;
use membership::{Membership, Own};
use pending_requests::PendingRequests;
use queue::{Queue, QueueError};
use rest::Rest;
use subject::Subjects;
use subscriptions::Subscriptions;

/// This node's part in the cluster.
pub struct Cluster {
    /// The settings of the server, which name a cluster. Those of the cluster do not change while the server runs.
    settings: Arc<Settings>,
    /// The address in this node's client ids, by which the other nodes know it.
    node: SocketAddrV4,
    /// A random number that tells this process from all others.
    instance: u64,
    authenticator: FrameAuthenticator,
    subjects: Arc<Subjects>,
    subscriptions: Arc<Subscriptions>,
    queue: Mutex<Queue>,
    membership: Mutex<Membership>,
    pending: PendingRequests,
    fence: Fence,
    marks: LatestMarks,
    /// A notification that there is something to write.
    wake: Arc<Notify>,
    /// A notification that there may be room in the queue.
    room: Notify,
    /// A notification that a stranger has shown that it is a node.
    proven: Notify,
    /// The state of the connection to NATS, for tasks that wait for a change of it.
    link: watch::Sender<LinkState>,
    started: Instant,
    /// The time in milliseconds for which the processes had run that were before this one, as each took over from the one before.
    age_before: AtomicU64,
    /// The connection that was made before the process before this one came to rest, until it is used.
    early_link: Mutex<Option<Connection>>,
    /// Number of the connections of this process and of those before it from which it took over.
    epoch: AtomicU32,
    /// Number of the connections of those alone.
    epoch_before: AtomicU32,
    /// Whether this node is to rest, and what it has begun.
    rest: Rest,
    /// The serial number of the latest frame.
    serials: AtomicU64,
    /// The time in seconds since the start before which no further warning is logged that nodes do not confirm subscriptions.
    next_warning: AtomicU64,
    /// The hash of the id of the NATS server to which this node is connected.
    server: AtomicU64,
    /// Number of the heartbeats on the current connection.
    heartbeats: AtomicU64,
    /// Number of this node's clients when they were last counted.
    clients: AtomicU64,
    /// How often it was asked whether NATS has everything.
    writes_wanted: AtomicU64,
    /// The number of the latest of these questions whose answer is yes.
    writes_done: watch::Sender<u64>,
    counts: ClusterCounts,
}

/// The state of the connection to NATS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    Down {
        since: Instant,
        reason: String,
    },
    /// The connection is made, and frames are sent and received.
    Up {
        server: String,
    },
    /// Another node of the cluster has this one's address.
    Conflict,
}

/// Counters of the cluster since the start.
#[derive(Debug, Default)]
pub struct ClusterCounts {
    /// Frames that were sent to other nodes.
    pub sent: AtomicU64,
    /// Frames that were received from other nodes, the ignored ones included where they were authentic.
    pub received: AtomicU64,
    /// Orders that no other node got, because there was no room or no connection.
    pub refused: AtomicU64,
    /// Upper bound of the orders of other nodes that did not arrive, as their senders did not keep them until they were
    /// requested.
    pub missed: AtomicU64,
    /// Frames that were ignored: they were not authentic, their senders have not shown that they live, or they came before.
    pub ignored: AtomicU64,
    /// Times that PHP was told that a client is bound before all NATS servers were known to have the subscription.
    pub unconfirmed: AtomicU64,
    /// Connections to NATS that were made.
    pub connections: AtomicU64,
}

/// The state of the cluster as this node sees it.
#[derive(Debug)]
pub struct ClusterView {
    pub link: LinkState,
    pub others: Vec<Sighting>,
    /// Nodes that are heard and have not shown that they live.
    pub unproven: Vec<SocketAddrV4>,
    /// Bytes that wait for other nodes or are kept for them.
    pub waiting_bytes: usize,
}

impl ClusterView {
    /// The other nodes that are present.
    pub fn members(&self) -> impl Iterator<Item = &Sighting> {
        self.others.iter().filter(|other| other.is_member)
    }

    /// Number of clients of the other nodes together.
    pub fn clients(&self) -> u64 {
        self.members().map(|member| member.clients).sum()
    }
}

impl Cluster {
    pub fn new(settings: Arc<Settings>, node: SocketAddrV4, instance: u64) -> Self {
        let name = &settings.cluster_name;
        let authenticator = FrameAuthenticator::new(settings.secret_key.as_bytes(), name);
        let subjects = Arc::new(Subjects::new(name, authenticator.derive_key(b"names")));
        let wake = Arc::new(Notify::new());
        let down = LinkState::Down { since: Instant::now(), reason: "it has not been tried yet".to_owned() };
        Self {
            subscriptions: Arc::new(Subscriptions::new(Arc::clone(&subjects), Arc::clone(&wake))),
            queue: Mutex::new(Queue::new(settings.cluster_buffer_bytes)),
            membership: Mutex::new(Membership::new()),
            pending: PendingRequests::default(),
            fence: Fence::default(),
            marks: LatestMarks::default(),
            wake,
            room: Notify::new(),
            proven: Notify::new(),
            serials: AtomicU64::new(0),
            next_warning: AtomicU64::new(0),
            server: AtomicU64::new(0),
            link: watch::Sender::new(down),
            started: Instant::now(),
            heartbeats: AtomicU64::new(0),
            clients: AtomicU64::new(0),
            age_before: AtomicU64::new(0),
            early_link: Mutex::default(),
            epoch: AtomicU32::new(0),
            epoch_before: AtomicU32::new(0),
            rest: Rest::default(),
            writes_wanted: AtomicU64::new(0),
            writes_done: watch::Sender::new(0),
            counts: ClusterCounts::default(),
            settings,
            node,
            instance,
            authenticator,
            subjects,
        }
    }

    /// Gives the watcher that the shards tell to which names this node's clients are bound.
    pub fn names(&self) -> Arc<dyn NameWatch> {
        Arc::clone(&self.subscriptions) as Arc<dyn NameWatch>
    }

    pub fn node(&self) -> SocketAddrV4 {
        self.node
    }

    pub fn name(&self) -> &str {
        &self.settings.cluster_name
    }

    pub fn counts(&self) -> &ClusterCounts {
        &self.counts
    }

    pub fn view(&self) -> ClusterView {
        let now = Instant::now();
        let (others, unproven) = {
            let membership = self.membership();
            (membership.sightings(now), membership.unproven(now))
        };
        let (link, waiting_bytes) = (self.link.borrow().clone(), self.queue().bytes());
        ClusterView { link, others, unproven, waiting_bytes }
    }

    pub fn holders(&self, sort: NameKind, name: &[u8]) -> SubjectTarget {
        self.subjects.holders(sort, name)
    }

    /// Waits for `patience` at most until the other nodes are known. Gives an error when this node cannot be one of them.
    pub async fn joined(&self, patience: Duration) -> Result<(), String> {
        let mut link = self.link.subscribe();
        let settled = link.wait_for(|link| !matches!(link, LinkState::Down { .. }));
        match tokio::time::timeout(patience, settled).await {
            Ok(Ok(link)) if *link == LinkState::Conflict => {
                return Err(format!(
                    "another server of cluster {} has the address {} in its client ids: set node to one that no other has",
                    self.settings.cluster_name, self.node
                ));
            }
            Ok(_) => {}
            Err(_) => {
                warn!(
                    reason = self.why_down(),
                    "the cluster cannot be reached; this node serves alone until it can"
                );
                return Ok(());
            }
        }
        // Clients that come at once may ask for clients of other nodes. If this takes longer, each query waits and reports it
        // itself.
        let _ = self.known(None).await;
        Ok(())
    }

    fn own(&self) -> Own {
        let before = Duration::from_millis(self.age_before.load(Ordering::Relaxed));
        Own { instance: self.instance, age: before + self.started.elapsed() }
    }

    /// Whether the frame is one of the process before this one, which said that it lives until this one served.
    fn is_of_process_before(&self, header: &Header) -> bool {
        header.epoch <= self.epoch_before.load(Ordering::Relaxed)
    }

    /// Whether there is a connection to the other nodes.
    pub fn is_up(&self) -> bool {
        matches!(*self.link.borrow(), LinkState::Up { .. })
    }

    fn why_down(&self) -> String {
        match &*self.link.borrow() {
            LinkState::Down { since, reason } => {
                format!("no connection to NATS for {} s: {reason}", since.elapsed().as_secs())
            }
            LinkState::Conflict => format!("another node has the address {}", self.node),
            LinkState::Up { .. } => "the connection to NATS is back".to_owned(),
        }
    }

    /// Queues a frame, and gives its number or that of the last numbered one before it.
    fn push(&self, to: SubjectTarget, kind: FrameKind, body: Bytes) -> Result<u64, QueueError> {
        let number = self.queue().push(to, kind, body)?;
        self.wake.notify_one();
        Ok(number)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the other nodes that are in the cluster.
    pub(crate) fn other_nodes(&self) -> usize {
        self.membership().len()
    }

    fn membership(&self) -> MutexGuard<'_, Membership> {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
