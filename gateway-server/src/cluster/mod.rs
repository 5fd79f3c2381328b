//! Several servers, the nodes of a cluster, work as one: they tell each other orders and ask each other queries over NATS.
//!
//! A push to a uid or group is published on a subject of that name, to which the nodes subscribe that have such clients. Orders are
//! numbered, and each arrives at each node in order and once: a node that may have missed some, because it or their sender lost
//! its connection to NATS, has all orders sent again that came after those it has. Every half second a node says that it is there.
//!
//! A stranger who may use the NATS can record what nodes say and send it again. So a node is believed only once it has repeated a
//! nonce of this one in a greeting, and from then on its frames are taken only with higher serial numbers than before. Clocks are
//! not compared, as those of machines differ.

mod authenticator;
mod frame;
mod heartbeat;
mod host;
mod link;
mod membership;
pub mod nats;
mod peer;
mod pending_requests;
mod queue;
mod reassembly;
mod receiver;
mod remote;
mod resend;
mod strangers;
mod subject;
mod subscriptions;

pub use host::Host;
pub use membership::Sighting;
pub use subject::SubjectTarget;

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tracing::warn;

use crate::net::NatsAddress;
use crate::shard::{NameKind, NameWatch};
use authenticator::FrameAuthenticator;
use frame::FrameKind;
use membership::{Membership, Own};
use pending_requests::PendingRequests;
use queue::{Queue, QueueError};
use subject::Subjects;
use subscriptions::Subscriptions;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The addresses of NATS servers. One is enough to find the others by, as long as that one is there.
    pub nats: Vec<NatsAddress>,
    pub name: String,
    pub credentials: Option<PathBuf>,
    pub authorities: Option<PathBuf>,
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// How many bytes of frames may wait for other nodes or be kept for them.
    pub buffer: usize,
    /// Orders for other nodes wait while there is no connection, instead of being refused.
    pub is_buffered: bool,
    /// How long the answers of other nodes are waited for.
    pub timeout: Duration,
}

pub struct Cluster {
    settings: ClusterSettings,
    node: SocketAddrV4,
    /// A number that tells this process from all others.
    instance: u64,
    authenticator: FrameAuthenticator,
    subjects: Arc<Subjects>,
    subscriptions: Arc<Subscriptions>,
    queue: Mutex<Queue>,
    membership: Mutex<Membership>,
    pending: PendingRequests,
    /// Is notified when there is something to write.
    wake: Arc<Notify>,
    /// Is notified when there may be room in the queue.
    room: Notify,
    /// Is notified when a stranger has shown that it is a node.
    proven: Notify,
    link: watch::Sender<LinkState>,
    started: Instant,
    /// The serial number of the last frame.
    serials: AtomicU64,
    /// When it may be warned again that nodes do not confirm subscriptions, in seconds since the start.
    next_warning: AtomicU64,
    /// The server of NATS to which this node is connected.
    server: AtomicU64,
    /// Counts the heartbeats of the connection.
    heartbeats: AtomicU64,
    /// How many clients this node had when they were last counted.
    clients: AtomicU64,
    /// This node ends once NATS has all that is to be sent.
    is_leaving: AtomicBool,
    farewell: Notify,
    counts: ClusterCounts,
}

/// How the connection to NATS is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    Down {
        since: Instant,
        reason: String,
    },
    /// Frames come and go.
    Up {
        server: String,
    },
    /// Another node has this one's address.
    Conflict,
}

/// What has happened since the start.
#[derive(Debug, Default)]
pub struct ClusterCounts {
    pub sent: AtomicU64,
    pub received: AtomicU64,
    /// Orders that no other node got because there was no room or no connection.
    pub refused: AtomicU64,
    /// How many orders of other nodes did not come at most: their senders had them no more when they were asked for.
    pub missed: AtomicU64,
    /// Frames that were not taken: they were not authentic, their senders are not known to live, or they came before.
    pub ignored: AtomicU64,
    /// How often PHP was told that a client is bound before all servers of NATS were known to have the subscription.
    pub unconfirmed: AtomicU64,
    pub connections: AtomicU64,
}

/// How the cluster is, as this node sees it.
#[derive(Debug)]
pub struct ClusterView {
    pub link: LinkState,
    pub others: Vec<Sighting>,
    /// Nodes that are heard and have not shown that they live.
    pub unproven: Vec<SocketAddrV4>,
    pub waiting_bytes: usize,
}

impl ClusterView {
    /// The other nodes that are there.
    pub fn members(&self) -> impl Iterator<Item = &Sighting> {
        self.others.iter().filter(|other| other.is_member)
    }

    /// How many clients these have.
    pub fn clients(&self) -> u64 {
        self.members().map(|member| member.clients).sum()
    }
}

impl Cluster {
    pub fn new(settings: ClusterSettings, secret: &[u8], node: SocketAddrV4, instance: u64) -> Self {
        let authenticator = FrameAuthenticator::new(secret, &settings.name);
        let subjects = Arc::new(Subjects::new(&settings.name, authenticator.derive_key(b"names")));
        let wake = Arc::new(Notify::new());
        let down = LinkState::Down { since: Instant::now(), reason: "it has not been tried yet".to_owned() };
        Self {
            subscriptions: Arc::new(Subscriptions::new(Arc::clone(&subjects), Arc::clone(&wake))),
            queue: Mutex::new(Queue::new(settings.buffer)),
            membership: Mutex::new(Membership::new()),
            pending: PendingRequests::default(),
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
            is_leaving: AtomicBool::new(false),
            farewell: Notify::new(),
            counts: ClusterCounts::default(),
            settings,
            node,
            instance,
            authenticator,
            subjects,
        }
    }

    /// Is to be told to which names this node's clients are bound.
    pub fn names(&self) -> Arc<dyn NameWatch> {
        Arc::clone(&self.subscriptions) as Arc<dyn NameWatch>
    }

    pub fn node(&self) -> SocketAddrV4 {
        self.node
    }

    pub fn name(&self) -> &str {
        &self.settings.name
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

    /// Waits for some time until the other nodes are known. Says why if this node cannot be one of them.
    pub async fn joined(&self, patience: Duration) -> Result<(), String> {
        let mut link = self.link.subscribe();
        let settled = link.wait_for(|link| !matches!(link, LinkState::Down { .. }));
        match tokio::time::timeout(patience, settled).await {
            Ok(Ok(link)) if *link == LinkState::Conflict => {
                return Err(format!(
                    "another server of cluster {} has the address {} in its client ids: set node to one that no other has",
                    self.settings.name, self.node
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
        // Clients that come at once may ask for others' clients. A query says itself what goes on for longer.
        let _ = self.known(None).await;
        Ok(())
    }

    fn own(&self) -> Own {
        Own { instance: self.instance, age: self.started.elapsed() }
    }

    fn is_up(&self) -> bool {
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

    fn push(&self, to: SubjectTarget, kind: FrameKind, body: Bytes) -> Result<(), QueueError> {
        self.queue().push(to, kind, body)?;
        self.wake.notify_one();
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn membership(&self) -> MutexGuard<'_, Membership> {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
