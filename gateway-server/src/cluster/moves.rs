//! The cluster's part in clients that come back at another node than they have left.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use gateway_wire::bridge::AnswerValue;

use super::Cluster;
use super::fence::{ClosedFence, Passage};
use super::frame::FrameKind;
use super::marks::Marks;
use super::move_request::{MoveReply, MoveRequest};
use super::subject::SubjectTarget;

impl Cluster {
    /// Asks a node about clients. Gives `None` when the node is not in the cluster, and so its clients have gone.
    pub async fn ask_about_move(
        &self,
        node: SocketAddrV4,
        request: &MoveRequest,
    ) -> Result<Option<MoveReply>, String> {
        self.known(Some(node)).await?;
        let Some(instance) = self.membership().instance_at(node) else {
            return self.is_gone(node).map(|()| None);
        };
        let body = rmp_serde::to_vec(request).map_err(|error| error.to_string())?;
        let answers = self.ask_for(vec![instance], SubjectTarget::Node(node), FrameKind::Move, &body).await?;
        match answers.first() {
            Some(AnswerValue::Str(reply)) => {
                rmp_serde::from_slice(reply).map(Some).map_err(|error| format!("node {node}: {error}"))
            }
            // The node has left while it was asked.
            _ => Ok(None),
        }
    }

    /// Gives an error when a node may live that is not in the cluster as this one knows it.
    fn is_gone(&self, node: SocketAddrV4) -> Result<(), String> {
        if !self.is_up() {
            return Err(self.why_down());
        }
        // This process has its node's address, so no other lives there.
        if node != self.node && self.membership().may_have_missed(node, Instant::now()) {
            return Err(format!("node {node} of the cluster has not been heard yet"));
        }
        Ok(())
    }

    /// Whether a node is in the cluster, as this one knows it.
    pub fn hears(&self, node: SocketAddrV4) -> bool {
        self.membership().instance_at(node).is_some()
    }

    /// Lets an order pass the fence.
    pub async fn pass(&self) -> Passage<'_> {
        self.fence.pass().await
    }

    /// Closes the fence once all orders that pass have passed.
    pub async fn close_fence(&self) -> Result<ClosedFence<'_>, String> {
        self.fence.close().await
    }

    /// The orders that this node's clients have got while the fence is closed: for each process of the cluster, this one included, the
    /// number of the last one.
    pub fn carried_out(&self, _: &ClosedFence<'_>) -> Marks {
        let mut carried_out = self.membership().acked();
        carried_out.push((self.instance, self.queue().last()));
        carried_out
    }

    /// Whether other nodes are there, and can be reached.
    pub fn has_others(&self) -> bool {
        self.is_up() && !self.membership().instances().is_empty()
    }

    /// The other nodes, once all that are heard have shown that they live.
    pub async fn others(&self) -> Result<Vec<SocketAddrV4>, String> {
        if !self.is_up() {
            return Err(self.why_down());
        }
        self.known(None).await?;
        Ok(self.view().members().map(|member| member.node).collect())
    }

    /// The time that other nodes have to answer.
    pub fn timeout(&self) -> Duration {
        self.settings.cluster_timeout
    }

    /// The random number that tells this process from all others of the cluster.
    pub fn instance(&self) -> u64 {
        self.instance
    }
}
