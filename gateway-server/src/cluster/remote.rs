//! The sending side of orders and queries for other nodes.

use std::net::SocketAddrV4;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway_wire::bridge::frame::HEADER;
use gateway_wire::bridge::{AnswerValue, Call, Order, Query, Request};
use tracing::warn;

use super::frame::FrameKind;
use super::host::WITHOUT_CLIENTS;
use super::queue::QueueError;
use super::subject::SubjectTarget;
use super::{Cluster, heartbeat};
use crate::config::Outage;

/// Time that other NATS servers have to learn of subscriptions. A node that is silent for a part of it is not waited for: its
/// orders of that time are requested when it is heard again.
const UNCONFIRMED: Duration = Duration::from_secs(5);

impl Cluster {
    /// Sends an order, the content of a bridge's call, to other nodes; each of them carries it out once. Waits for a while when
    /// the queue is full.
    pub async fn send(&self, to: SubjectTarget, body: Bytes) -> Result<(), String> {
        self.send_numbered(to, body).await.map(drop)
    }

    /// Does what [`Cluster::send`] does, and gives the number of the order.
    pub async fn send_numbered(&self, to: SubjectTarget, body: Bytes) -> Result<u64, String> {
        if self.settings.cluster_outage == Outage::Fail && !self.is_up() {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return Err(self.without_others(&QueueError::Down));
        }
        let mut pushed = self.push(to, FrameKind::Order, body.clone());
        if matches!(pushed, Err(QueueError::Full(_))) {
            pushed = self.push_in_time(to, body).await;
        }
        pushed.map_err(|refused| {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            self.without_others(&refused)
        })
    }

    async fn push_in_time(&self, to: SubjectTarget, body: Bytes) -> Result<u64, QueueError> {
        let deadline = tokio::time::Instant::now() + self.settings.cluster_timeout;
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            // From here on every notification is seen.
            room.as_mut().enable();
            match self.push(to, FrameKind::Order, body.clone()) {
                Err(QueueError::Full(bytes)) => {
                    let is_late = tokio::time::timeout_at(deadline, room).await.is_err();
                    if is_late || !self.is_up() {
                        return Err(QueueError::Full(bytes));
                    }
                }
                done => return done,
            }
        }
    }

    /// Sends an order to a node and waits until it has been carried out. An order for a node that is not in the cluster counts as
    /// carried out, as that node's clients have gone.
    pub async fn order_at(&self, node: SocketAddrV4, order: &Order<'_>) -> Result<(), String> {
        self.known(Some(node)).await?;
        let Some(instance) = self.membership().instance_at(node) else {
            return if self.is_up() { Ok(()) } else { Err(self.unreachable(node)) };
        };
        let answers = self.ask(
            vec![instance],
            SubjectTarget::Node(node),
            FrameKind::AskedOrder,
            Call::Order(order.clone()),
        );
        answers.await.map(drop)
    }

    /// Asks the node of a client. Gives `None` when that node is not in the cluster, and so the client is offline.
    pub async fn query_at(
        &self,
        node: SocketAddrV4,
        query: &Query<'_>,
    ) -> Result<Option<AnswerValue>, String> {
        self.known(Some(node)).await?;
        let Some(instance) = self.membership().instance_at(node) else {
            return if self.is_up() { Ok(None) } else { Err(self.unreachable(node)) };
        };
        let answers =
            self.ask(vec![instance], SubjectTarget::Node(node), FrameKind::Query, Call::Query(query.clone()));
        Ok(answers.await?.pop())
    }

    /// Asks all other nodes. It is an error if one of them does not answer, as the answer would be incomplete.
    pub async fn query_all(&self, query: &Query<'_>) -> Result<Vec<AnswerValue>, String> {
        let others = self.other_instances().await?;
        if others.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(others, SubjectTarget::All, FrameKind::Query, Call::Query(query.clone())).await
    }

    /// Asks all other nodes, and gives the answers of those that answer in time, and the addresses of the others.
    pub async fn query_some(
        &self,
        query: &Query<'_>,
    ) -> Result<(Vec<AnswerValue>, Vec<SocketAddrV4>), String> {
        let others = self.other_instances().await?;
        if others.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let question = request(Call::Query(query.clone()))?;
        let (answers, missing) =
            self.collect(others, SubjectTarget::All, FrameKind::Query, &question).await?;
        Ok((answers.into_iter().collect::<Result<_, _>>()?, self.addresses(&missing)))
    }

    /// The instances of all other nodes, which can be asked.
    async fn other_instances(&self) -> Result<Vec<u64>, String> {
        if !self.is_up() {
            return Err(format!("the other nodes of the cluster cannot be asked: {}", self.why_down()));
        }
        self.known(None).await?;
        Ok(self.membership().instances())
    }

    async fn ask(
        &self,
        instances: Vec<u64>,
        to: SubjectTarget,
        kind: FrameKind,
        call: Call<'_>,
    ) -> Result<Vec<AnswerValue>, String> {
        self.ask_for(instances, to, kind, &request(call)?).await
    }

    /// Sends a question to nodes, and collects their answers. It is an error if one of them does not answer.
    pub(super) async fn ask_for(
        &self,
        instances: Vec<u64>,
        to: SubjectTarget,
        kind: FrameKind,
        question: &[u8],
    ) -> Result<Vec<AnswerValue>, String> {
        let (answers, missing) = self.collect(instances, to, kind, question).await?;
        if missing.is_empty() {
            return answers.into_iter().collect();
        }
        let names: Vec<_> = self.addresses(&missing).iter().map(SocketAddrV4::to_string).collect();
        let (names, timeout) = (names.join(", "), self.settings.cluster_timeout);
        Err(format!("no answer from node {names} of the cluster within {timeout:?} (cluster_timeout)"))
    }

    /// The addresses of nodes that are known.
    fn addresses(&self, instances: &[u64]) -> Vec<SocketAddrV4> {
        let membership = self.membership();
        instances.iter().filter_map(|instance| membership.node_of(*instance)).collect()
    }

    /// Sends a question to nodes, and gives the answers of those that answer in time, and the others.
    async fn collect(
        &self,
        instances: Vec<u64>,
        to: SubjectTarget,
        kind: FrameKind,
        question: &[u8],
    ) -> Result<(Vec<Result<AnswerValue, String>>, Vec<u64>), String> {
        let mut pending = self.pending.register(instances.clone());
        // A node that left just before the request was registered does not answer it.
        let left = self.membership().absent_of(instances);
        left.into_iter().for_each(|instance| self.pending.node_left(instance));
        let mut body = Vec::with_capacity(8 + question.len());
        body.extend_from_slice(&pending.id.to_be_bytes());
        body.extend_from_slice(question);
        self.push(to, kind, body.into()).map_err(|refused| refused.to_string())?;
        let _ = tokio::time::timeout(self.settings.cluster_timeout, pending.complete()).await;
        let (mut answers, missing) = pending.finish();
        // A node that is about to leave has nothing to say any more, as if it had left.
        answers.retain(|answer| !matches!(answer, Err(reason) if reason == WITHOUT_CLIENTS));
        Ok((answers, missing))
    }

    /// Waits until the pushes of other nodes reach what has been bound here so far.
    /// Gives false if that takes too long.
    pub async fn settled(&self) -> bool {
        if tokio::time::timeout(UNCONFIRMED, self.subscriptions.settled()).await.is_ok() {
            return true;
        }
        self.counts.unconfirmed.fetch_add(1, Ordering::Relaxed);
        // The warning is logged every few seconds at most, however often clients are bound.
        let now = self.started.elapsed().as_secs();
        if now >= self.next_warning.load(Ordering::Relaxed) {
            self.next_warning.store(now + UNCONFIRMED.as_secs(), Ordering::Relaxed);
            warn!("nodes at another server of NATS do not confirm that they reach what is bound here");
        }
        false
    }

    /// The reason why this node does not know all clients of the cluster although it has a connection.
    pub fn problem(&self) -> Option<String> {
        self.unknown(None)
    }

    /// Waits until all nodes that are heard, or only `node`, have shown that they live.
    pub(super) async fn known(&self, node: Option<SocketAddrV4>) -> Result<(), String> {
        if self.unknown(node).is_none() {
            return Ok(());
        }
        let deadline = tokio::time::Instant::now() + self.settings.cluster_timeout;
        loop {
            let mut proven = std::pin::pin!(self.proven.notified());
            // From here on every notification is seen.
            proven.as_mut().enable();
            let Some(unknown) = self.unknown(node) else { return Ok(()) };
            if tokio::time::Instant::now() >= deadline {
                return Err(unknown);
            }
            // A stranger may also be forgotten, and there is no notification of that.
            let proven = tokio::time::timeout(heartbeat::INTERVAL, proven);
            let _ = tokio::time::timeout_at(deadline, proven).await;
        }
    }

    fn unknown(&self, node: Option<SocketAddrV4>) -> Option<String> {
        let now = Instant::now();
        let membership = self.membership();
        if node.is_some_and(|node| membership.is_proven_at(node)) {
            return None;
        }
        let mut unproven = membership.unproven(now);
        unproven.retain(|one| node.is_none_or(|node| node == *one));
        if !unproven.is_empty() {
            let names: Vec<_> = unproven.iter().map(ToString::to_string).collect();
            return Some(format!(
                "node {} of the cluster is heard, and has not answered yet",
                names.join(", ")
            ));
        }
        membership.hears_other_release(now).then(|| {
            "nodes of another release are in the cluster, and cannot be asked: all nodes must be of one release"
                .to_owned()
        })
    }

    fn without_others(&self, refused: &QueueError) -> String {
        let reason =
            if self.is_up() { refused.to_string() } else { format!("{refused}; {}", self.why_down()) };
        format!("only clients of this node got it, as the others could not be told: {reason}")
    }

    fn unreachable(&self, node: SocketAddrV4) -> String {
        format!("node {node} of the cluster cannot be reached: {}", self.why_down())
    }
}

fn request(call: Call<'_>) -> Result<Bytes, String> {
    let mut frame = Vec::new();
    Request { seq: 0, call }.encode(&mut frame).map_err(|error| error.to_string())?;
    Ok(Bytes::from(frame).slice(HEADER..))
}
