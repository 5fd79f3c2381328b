//! The part of orders and queries that other nodes of the cluster carry out.

use std::net::SocketAddrV4;
use std::pin::pin;

use bytes::Bytes;
use futures_util::FutureExt as _;
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, PhpStr, Query, Route};

use super::Gateway;
use super::lists::without;
use crate::cluster::{Cluster, SubjectTarget};
use crate::shard::{NameKind, Origin};

/// Bytes up to which an order's content may be repeated so that each part of it goes only to the nodes that it concerns.
const REPEATED: usize = 1 << 20;
/// Parts for each other node up to which an order goes in parts. More of them cost the sender and NATS far more than all nodes pay for
/// looking up names of which they have no clients.
const PARTS_A_NODE: usize = 4;

/// An order that goes to other nodes.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'o, 'a> {
    pub(super) order: &'o Order<'a>,
    /// The encoded call, when it came encoded over a bridge.
    pub(super) encoded: Option<&'o [u8]>,
}

impl Outgoing<'_, '_> {
    /// Gives the whole order, encoded. The bytes are copied, as they may wait in a queue.
    fn whole(&self) -> Result<Bytes, String> {
        match self.encoded {
            Some(encoded) => Ok(Bytes::copy_from_slice(encoded)),
            None => encode(self.order),
        }
    }
}

/// Encodes an order with the sequence number zero, as the number means nothing between nodes.
fn encode(order: &Order<'_>) -> Result<Bytes, String> {
    order.encode_content(0).map(Bytes::from).map_err(|error| error.to_string())
}

impl Gateway {
    /// Sends the other nodes their part of an order. If that has to wait, the clients of this node get theirs first.
    pub(super) async fn execute_elsewhere(
        &self,
        cluster: &Cluster,
        outgoing: Outgoing<'_, '_>,
    ) -> Result<(), String> {
        let mut sent = pin!(self.send_elsewhere(cluster, outgoing));
        match sent.as_mut().now_or_never() {
            Some(sent) => sent,
            None => {
                self.flush();
                sent.await
            }
        }
    }

    async fn send_elsewhere(&self, cluster: &Cluster, outgoing: Outgoing<'_, '_>) -> Result<(), String> {
        let order = outgoing.order;
        match order.route() {
            Route::Everybody => cluster.send(SubjectTarget::All, outgoing.whole()?).await,
            Route::Client(client) => match self.others(client) {
                None => Ok(()),
                Some(node) if order.is_awaited() => cluster.order_at(node, order).await,
                Some(node) => cluster.send(SubjectTarget::Node(node), outgoing.whole()?).await,
            },
            Route::Clients { only, except } => {
                send_by_node(cluster, outgoing, &self.all_elsewhere(only, except)).await
            }
            Route::Uids(uids) => send_by_name(cluster, outgoing, NameKind::Uid, uids).await,
            Route::Groups(groups) => send_by_name(cluster, outgoing, NameKind::Group, groups).await,
        }
    }

    /// Gives the answer of the whole cluster.
    pub(super) async fn query_everywhere(
        &self,
        cluster: &Cluster,
        query: &Query<'_>,
    ) -> Result<AnswerValue, String> {
        // The answer also acknowledges the earlier orders of the same PHP process, so pushes of other nodes must reach what these
        // have bound here.
        cluster.settled().await;
        if query.client().is_some() {
            let moved = self.query_about_moved(query);
            return self.query_client(cluster, moved.as_ref().unwrap_or(query)).await;
        }
        let Some(aggregation) = query.aggregation() else { return self.value_here(query).await };
        let (here, others) =
            tokio::join!(self.value_here(&aggregation.asked), cluster.query_all(&aggregation.asked));
        aggregation.merge(std::iter::once(here?).chain(others?))
    }

    /// Gives the answer of those nodes that answer in time, and the others.
    pub(super) async fn query_those_that_answer(
        &self,
        query: &Query<'_>,
    ) -> Result<(AnswerValue, Vec<SocketAddrV4>), String> {
        let (Some(cluster), Some(aggregation)) = (&self.cluster, query.aggregation()) else {
            return Ok((self.value_here(query).await?, Vec::new()));
        };
        let (here, others) =
            tokio::join!(self.value_here(&aggregation.asked), cluster.query_some(&aggregation.asked));
        let (answers, silent) = others?;
        Ok((aggregation.merge(std::iter::once(here?).chain(answers))?, silent))
    }

    /// Gives the answer of the node of the client that a query is about.
    pub(super) async fn query_client(
        &self,
        cluster: &Cluster,
        query: &Query<'_>,
    ) -> Result<AnswerValue, String> {
        let node = query.client().and_then(|client| self.others(client));
        let Some(node) = node else { return self.value_here(query).await };
        let offline = if matches!(query, Query::IsOnline { .. }) {
            AnswerValue::Bool(false)
        } else {
            AnswerValue::Null
        };
        Ok(cluster.query_at(node, query).await?.unwrap_or(offline))
    }

    /// Sends other nodes an order for uids, groups or everybody as one, and gives its origin.
    pub(super) async fn publish(
        &self,
        cluster: &Cluster,
        outgoing: Outgoing<'_, '_>,
    ) -> (Origin, Result<(), String>) {
        let to = match outgoing.order.route() {
            Route::Uids([uid]) => cluster.holders(NameKind::Uid, uid),
            Route::Groups([group]) => cluster.holders(NameKind::Group, group),
            _ => SubjectTarget::All,
        };
        let sent = match outgoing.whole() {
            Ok(body) => cluster.send_numbered(to, body).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(number) => (Origin::published(cluster.instance(), number), Ok(())),
            Err(refused) => (Origin::HERE, Err(refused)),
        }
    }

    async fn value_here(&self, query: &Query<'_>) -> Result<AnswerValue, String> {
        Ok(self.query_value_here(query).await.map_err(|failed| failed.to_string())?.0)
    }

    /// Gives the clients of other nodes that are in `only` and not in `except`, each once. The clients of one node stand
    /// together.
    fn all_elsewhere(&self, only: &[ClientId], except: &[ClientId]) -> Vec<ClientId> {
        let is_elsewhere = |client: &ClientId| self.local(*client).is_none();
        without(only.iter().copied().filter(is_elsewhere).collect(), except)
    }

    /// Gives the node of a client, unless it is this one.
    fn others(&self, client: ClientId) -> Option<SocketAddrV4> {
        self.local(client).is_none().then_some(client.node)
    }
}

/// True when an order goes to all nodes once, each of which picks out its own clients, because sending parts to the nodes that
/// each concerns would be too many parts, or repeat too many bytes.
fn is_for_all(parts: usize, repeated: usize, other_nodes: usize) -> bool {
    parts > other_nodes.max(1).saturating_mul(PARTS_A_NODE)
        || parts.saturating_sub(1).saturating_mul(repeated) > REPEATED
}

/// Sends, for each name, the part of the order to the nodes that have clients of that name.
async fn send_by_name<'a>(
    cluster: &Cluster,
    outgoing: Outgoing<'_, 'a>,
    sort: NameKind,
    names: &[PhpStr<'a>],
) -> Result<(), String> {
    match names {
        [name] => cluster.send(cluster.holders(sort, name), outgoing.whole()?).await,
        names if is_for_all(names.len(), outgoing.order.repeated_bytes(), cluster.other_nodes()) => {
            cluster.send(SubjectTarget::All, outgoing.whole()?).await
        }
        names => {
            for name in names {
                let part = encode(&outgoing.order.for_name(name))?;
                cluster.send(cluster.holders(sort, name), part).await?;
            }
            Ok(())
        }
    }
}

/// Sends each node the part for its clients. The clients of one node stand together in the list.
async fn send_by_node(
    cluster: &Cluster,
    outgoing: Outgoing<'_, '_>,
    clients: &[ClientId],
) -> Result<(), String> {
    let parts = || clients.chunk_by(|one, other| one.node == other.node);
    if is_for_all(parts().count(), outgoing.order.repeated_bytes(), cluster.other_nodes()) {
        return cluster.send(SubjectTarget::All, outgoing.whole()?).await;
    }
    for clients in parts() {
        let part = encode(&outgoing.order.for_clients(clients.to_vec()))?;
        cluster.send(SubjectTarget::Node(clients[0].node), part).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_repeated_too_often_goes_to_all_nodes_once() {
        let is_for_all = |parts, repeated| is_for_all(parts, repeated, usize::MAX);
        assert!(!is_for_all(0, usize::MAX) && !is_for_all(1, usize::MAX));
        assert!(!is_for_all(1000, 1000) && is_for_all(1000, 1100));
        // The part for the hundred groups must not contain the hundred thousand clients.
        assert!(is_for_all(100, 12 * 100_000) && is_for_all(usize::MAX, usize::MAX));
    }

    #[test]
    fn what_has_many_parts_for_each_node_goes_to_all_nodes_once() {
        assert!(!is_for_all(4, 0, 0) && !is_for_all(4, 0, 1) && is_for_all(5, 0, 0) && is_for_all(5, 0, 1));
        assert!(!is_for_all(400, 0, 100) && is_for_all(401, 0, 100));
    }
}
