//! Other nodes, over NATS.
//!
//! A push to a uid or group is published on a subject of that name, to which those nodes subscribe that hold it. What is
//! numbered comes to each node in order and once: a node that may have missed something, as it or the other lost its
//! connection to NATS, has everything sent again that came after what it has. Nodes say every half second that they are there.
//!
//! A stranger who may use the NATS can record what nodes say and send it again. So a node is believed only once it has repeated a
//! nonce of this one (a greeting), and from then on only frames with higher serial numbers than those that came. No clock
//! counts: those of machines differ.

mod frame;
mod host;
mod link;
mod membership;
pub mod nats;
mod pending_requests;
mod queue;
mod receiver;
mod strangers;
mod subject;
mod subscriptions;

pub use host::Host;
pub use membership::Sighting;
pub use nats::Address;
pub use subject::To;

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway_wire::bridge::frame::HEADER;
use gateway_wire::bridge::{Call, Order, Query, Request, Value};
use tokio::sync::{Notify, watch};
use tracing::warn;

use crate::shard::{NameWatch, Sort};
use frame::{FrameAuthenticator, Kind};
use membership::{Membership, Own};
use pending_requests::PendingRequests;
use queue::{Queue, Refused};
use subject::Subjects;
use subscriptions::Subscriptions;

/// How long other servers of NATS may take to hear of subscriptions. Nodes that have been silent for a part of it are not waited
/// for: what they send is asked for when they are heard.
const UNCONFIRMED: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Of the NATS servers; one is enough to find the others by.
    pub nats: Vec<Address>,
    pub name: String,
    pub credentials: Option<PathBuf>,
    pub authorities: Option<PathBuf>,
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Bytes that may wait for other nodes, or be kept for them.
    pub buffer: usize,
    /// What is sent to other nodes while there is no connection waits for one.
    pub is_buffered: bool,
    /// How long an answer is waited for.
    pub timeout: Duration,
}

pub struct Cluster {
    settings: Settings,
    node: SocketAddrV4,
    /// Tells this process from the one before it.
    instance: u64,
    seal: FrameAuthenticator,
    subjects: Arc<Subjects>,
    interest: Arc<Subscriptions>,
    queue: Mutex<Queue>,
    peers: Mutex<Membership>,
    asks: PendingRequests,
    /// There is something to write.
    wake: Arc<Notify>,
    /// There may be room in the queue.
    room: Notify,
    /// A stranger has become a node.
    proven: Notify,
    link: watch::Sender<Link>,
    started: Instant,
    /// The number of the last frame.
    serials: AtomicU64,
    /// When to say next that nodes do not confirm, in seconds since the start.
    next_warning: AtomicU64,
    /// The server of NATS of the connection that is there.
    server: AtomicU64,
    /// Of the connection that is there.
    beats: AtomicU64,
    /// Of this node, when it was last looked.
    clients: AtomicU64,
    /// This node ends once the server has taken all that is there to be sent.
    is_leaving: AtomicBool,
    farewell: Notify,
    counts: Counts,
}

/// How the connection to NATS is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Down {
        since: Instant,
        reason: String,
    },
    /// Other nodes' frames come, and ours go.
    Up {
        server: String,
    },
    /// Another node has this one's address.
    Conflict,
}

/// Since the start.
#[derive(Debug, Default)]
pub struct Counts {
    pub sent: AtomicU64,
    pub received: AtomicU64,
    /// Orders that no other node got, as there was no room or no connection.
    pub refused: AtomicU64,
    /// Orders of other nodes that did not come, at most: nobody had them any more when they were asked for.
    pub missed: AtomicU64,
    /// Frames that were not taken: not sealed, of nobody who is known to live, or sent again by somebody.
    pub ignored: AtomicU64,
    /// How often PHP was told that something is bound before all servers of NATS were known to have heard of it.
    pub unconfirmed: AtomicU64,
    pub connections: AtomicU64,
}

/// How the cluster is, as this node sees it.
#[derive(Debug)]
pub struct View {
    pub link: Link,
    pub others: Vec<Sighting>,
    /// Nodes that are heard, and have not shown that they live.
    pub unproven: Vec<SocketAddrV4>,
    pub waiting_bytes: usize,
}

impl View {
    /// Other nodes that are there.
    pub fn members(&self) -> impl Iterator<Item = &Sighting> {
        self.others.iter().filter(|other| other.is_member)
    }

    /// Their clients.
    pub fn clients(&self) -> u64 {
        self.members().map(|member| member.clients).sum()
    }
}

impl Cluster {
    pub fn new(settings: Settings, secret: &[u8], node: SocketAddrV4, instance: u64) -> Self {
        let seal = FrameAuthenticator::new(secret, &settings.name);
        let subjects = Arc::new(Subjects::new(&settings.name, seal.key(b"names")));
        let wake = Arc::new(Notify::new());
        let down = Link::Down { since: Instant::now(), reason: "it has not been tried yet".to_owned() };
        Self {
            interest: Arc::new(Subscriptions::new(Arc::clone(&subjects), Arc::clone(&wake))),
            queue: Mutex::new(Queue::new(settings.buffer)),
            peers: Mutex::new(Membership::new()),
            asks: PendingRequests::default(),
            wake,
            room: Notify::new(),
            proven: Notify::new(),
            serials: AtomicU64::new(0),
            next_warning: AtomicU64::new(0),
            server: AtomicU64::new(0),
            link: watch::Sender::new(down),
            started: Instant::now(),
            beats: AtomicU64::new(0),
            clients: AtomicU64::new(0),
            is_leaving: AtomicBool::new(false),
            farewell: Notify::new(),
            counts: Counts::default(),
            settings,
            node,
            instance,
            seal,
            subjects,
        }
    }

    /// To be told what this node's clients are bound to.
    pub fn names(&self) -> Arc<dyn NameWatch> {
        Arc::clone(&self.interest) as Arc<dyn NameWatch>
    }

    pub fn node(&self) -> SocketAddrV4 {
        self.node
    }

    pub fn name(&self) -> &str {
        &self.settings.name
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub fn view(&self) -> View {
        let now = Instant::now();
        let (others, unproven) = {
            let peers = self.peers();
            (peers.sightings(now), peers.unproven(now))
        };
        let (link, waiting_bytes) = (self.link.borrow().clone(), self.queue().bytes());
        View { link, others, unproven, waiting_bytes }
    }

    pub fn holders(&self, sort: Sort, name: &[u8]) -> To {
        self.subjects.holders(sort, name)
    }

    /// Has other nodes carry out an order, each once. Waits for a while if they cannot keep up.
    pub async fn send(&self, to: To, order: &Order<'_>) -> Result<(), String> {
        if !self.settings.is_buffered && !self.is_up() {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return Err(self.without_others(&Refused::Down));
        }
        let body = request(Call::Order(order.clone()))?;
        let mut pushed = self.push(to, Kind::Order, body.clone());
        if matches!(pushed, Err(Refused::Full(_))) {
            pushed = self.push_in_time(to, body).await;
        }
        pushed.map_err(|refused| {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            self.without_others(&refused)
        })
    }

    async fn push_in_time(&self, to: To, body: Bytes) -> Result<(), Refused> {
        let deadline = tokio::time::Instant::now() + self.settings.timeout;
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            // From here on no news is missed.
            room.as_mut().enable();
            match self.push(to, Kind::Order, body.clone()) {
                Err(Refused::Full(bytes)) => {
                    let is_late = tokio::time::timeout_at(deadline, room).await.is_err();
                    if is_late || !self.is_up() {
                        return Err(Refused::Full(bytes));
                    }
                }
                done => return done,
            }
        }
    }

    /// As [`Cluster::send`], and waits until it is done. An order for a node that is not there is done: its clients have
    /// gone.
    pub async fn order_at(&self, node: SocketAddrV4, order: &Order<'_>) -> Result<(), String> {
        self.known(Some(node)).await?;
        let Some(instance) = self.peers().instance_at(node) else {
            return if self.is_up() { Ok(()) } else { Err(self.unreachable(node)) };
        };
        let answers = self.ask(vec![instance], To::Node(node), Kind::AskedOrder, Call::Order(order.clone()));
        answers.await.map(drop)
    }

    /// PendingRequests the node that has a client; `None` if it is not there, and so neither is the client.
    pub async fn query_at(&self, node: SocketAddrV4, query: &Query<'_>) -> Result<Option<Value>, String> {
        self.known(Some(node)).await?;
        let Some(instance) = self.peers().instance_at(node) else {
            return if self.is_up() { Ok(None) } else { Err(self.unreachable(node)) };
        };
        let answers = self.ask(vec![instance], To::Node(node), Kind::Query, Call::Query(query.clone()));
        Ok(answers.await?.pop())
    }

    /// PendingRequests all other nodes. That one has not answered is an error, as what the others say is not the whole.
    pub async fn gather(&self, query: &Query<'_>) -> Result<Vec<Value>, String> {
        if !self.is_up() {
            return Err(format!("the other nodes of the cluster cannot be asked: {}", self.why_down()));
        }
        self.known(None).await?;
        let others = self.peers().instances();
        if others.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(others, To::All, Kind::Query, Call::Query(query.clone())).await
    }

    async fn ask(&self, of: Vec<u64>, to: To, kind: Kind, call: Call<'_>) -> Result<Vec<Value>, String> {
        let mut ask = self.asks.open(of);
        let request = request(call)?;
        let mut body = Vec::with_capacity(8 + request.len());
        body.extend_from_slice(&ask.id.to_be_bytes());
        body.extend_from_slice(&request);
        self.push(to, kind, body.into()).map_err(|refused| refused.to_string())?;
        // Whoever has not answered by then is named below.
        let _ = tokio::time::timeout(self.settings.timeout, ask.done()).await;
        let (answers, missing) = ask.close();
        if missing.is_empty() {
            return answers.into_iter().collect();
        }
        let names: Vec<_> = {
            let peers = self.peers();
            missing
                .iter()
                .filter_map(|instance| peers.node_of(*instance))
                .map(|node| node.to_string())
                .collect()
        };
        let (names, timeout) = (names.join(", "), self.settings.timeout);
        Err(format!("no answer from node {names} of the cluster within {timeout:?} (cluster_timeout)"))
    }

    /// Waits until other nodes' pushes find what has been bound here so far.
    pub async fn settled(&self) {
        if tokio::time::timeout(UNCONFIRMED, self.interest.settled()).await.is_ok() {
            return;
        }
        self.counts.unconfirmed.fetch_add(1, Ordering::Relaxed);
        // A caller that binds on and on hears of it now and then.
        let now = self.started.elapsed().as_secs();
        if now >= self.next_warning.load(Ordering::Relaxed) {
            self.next_warning.store(now + UNCONFIRMED.as_secs(), Ordering::Relaxed);
            warn!("nodes at another server of NATS do not confirm that they reach what is bound here");
        }
    }

    /// Why this node does not know all clients of the cluster, though it has a connection.
    pub fn problem(&self) -> Option<String> {
        self.unknown(None)
    }

    /// Waits until whoever is heard has shown that he lives, be it of all nodes or of one.
    async fn known(&self, node: Option<SocketAddrV4>) -> Result<(), String> {
        if self.unknown(node).is_none() {
            return Ok(());
        }
        let deadline = tokio::time::Instant::now() + self.settings.timeout;
        loop {
            let mut proven = std::pin::pin!(self.proven.notified());
            // From here on no news is missed.
            proven.as_mut().enable();
            let Some(unknown) = self.unknown(node) else { return Ok(()) };
            if tokio::time::Instant::now() >= deadline {
                return Err(unknown);
            }
            // Some are forgotten without news.
            let _ =
                tokio::time::timeout_at(deadline, tokio::time::timeout(membership::HEARTBEAT, proven)).await;
        }
    }

    fn unknown(&self, node: Option<SocketAddrV4>) -> Option<String> {
        let now = Instant::now();
        let peers = self.peers();
        if node.is_some_and(|node| peers.is_proven_at(node)) {
            return None;
        }
        let mut unproven = peers.unproven(now);
        unproven.retain(|one| node.is_none_or(|node| node == *one));
        if !unproven.is_empty() {
            let names: Vec<_> = unproven.iter().map(ToString::to_string).collect();
            return Some(format!(
                "node {} of the cluster is heard, and has not answered yet",
                names.join(", ")
            ));
        }
        peers.hears_other_release(now).then(|| {
            "nodes of another release are in the cluster, and cannot be asked: all nodes must be of one release"
                .to_owned()
        })
    }

    /// Waits until the other nodes are known, for some time, or says why this node cannot be one of them.
    pub async fn joined(&self, patience: Duration) -> Result<(), String> {
        let mut link = self.link.subscribe();
        let settled = link.wait_for(|link| !matches!(link, Link::Down { .. }));
        match tokio::time::timeout(patience, settled).await {
            Ok(Ok(link)) if *link == Link::Conflict => {
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
        // Others are asked by clients that come at once. What goes on for longer is said where it is asked.
        let _ = self.known(None).await;
        Ok(())
    }

    fn own(&self) -> Own {
        Own { instance: self.instance, age: self.started.elapsed() }
    }

    fn is_up(&self) -> bool {
        matches!(*self.link.borrow(), Link::Up { .. })
    }

    fn why_down(&self) -> String {
        match &*self.link.borrow() {
            Link::Down { since, reason } => {
                format!("no connection to NATS for {} s: {reason}", since.elapsed().as_secs())
            }
            Link::Conflict => format!("another node has the address {}", self.node),
            Link::Up { .. } => "the connection to NATS is back".to_owned(),
        }
    }

    fn without_others(&self, refused: &Refused) -> String {
        let reason =
            if self.is_up() { refused.to_string() } else { format!("{refused}; {}", self.why_down()) };
        format!("only clients of this node got it, as the others could not be told: {reason}")
    }

    fn unreachable(&self, node: SocketAddrV4) -> String {
        format!("node {node} of the cluster cannot be reached: {}", self.why_down())
    }

    fn push(&self, to: To, kind: Kind, body: Bytes) -> Result<(), Refused> {
        self.queue().push(to, kind, body)?;
        self.wake.notify_one();
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peers(&self) -> MutexGuard<'_, Membership> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn request(call: Call<'_>) -> Result<Bytes, String> {
    let mut frame = Vec::new();
    Request { seq: 0, call }.encode(&mut frame).map_err(|error| error.to_string())?;
    Ok(Bytes::from(frame).slice(HEADER..))
}
