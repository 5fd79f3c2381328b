//! The part of orders and queries that other nodes of the cluster do.

use std::net::SocketAddrV4;

use bytes::Bytes;
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, PhpStr, Query, Route};

use super::Gateway;
use super::lists::without;
use crate::cluster::{Cluster, SubjectTarget};
use crate::shard::NameKind;

/// Bytes that an order may repeat so that each of its parts reaches those nodes alone that it concerns.
const REPEATED: usize = 1 << 20;

/// An order on its way to other nodes.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'o, 'a> {
    pub(super) order: &'o Order<'a>,
    /// The call as it came, if it came encoded.
    pub(super) encoded: Option<&'o [u8]>,
}

impl Outgoing<'_, '_> {
    /// The order as it is, in memory of its own: it may wait in a queue.
    fn whole(&self) -> Result<Bytes, String> {
        match self.encoded {
            Some(encoded) => Ok(Bytes::copy_from_slice(encoded)),
            None => encode(self.order),
        }
    }
}

/// The number of an order between nodes means nothing.
fn encode(order: &Order<'_>) -> Result<Bytes, String> {
    order.encode_content(0).map(Bytes::from).map_err(|error| error.to_string())
}

impl Gateway {
    /// Has the other nodes do their part of an order.
    pub(super) async fn execute_elsewhere(
        &self,
        cluster: &Cluster,
        outgoing: Outgoing<'_, '_>,
    ) -> Result<(), String> {
        let order = outgoing.order;
        match order.route() {
            Route::Everybody => cluster.send(SubjectTarget::All, outgoing.whole()?).await,
            Route::Client(client) => match self.elsewhere(client) {
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

    /// The answer of the whole cluster.
    pub(super) async fn query_everywhere(
        &self,
        cluster: &Cluster,
        query: &Query<'_>,
    ) -> Result<AnswerValue, String> {
        // What was bound here is found by others from here on.
        cluster.settled().await;
        if let Some(client) = query.client() {
            let Some(node) = self.elsewhere(client) else { return self.value_here(query).await };
            let offline = if matches!(query, Query::IsOnline { .. }) {
                AnswerValue::Bool(false)
            } else {
                AnswerValue::Null
            };
            return Ok(cluster.query_at(node, query).await?.unwrap_or(offline));
        }
        let Some(gather) = query.gather() else { return self.value_here(query).await };
        let (here, elsewhere) = tokio::join!(self.value_here(&gather.asked), cluster.gather(&gather.asked));
        gather.merge(std::iter::once(here?).chain(elsewhere?))
    }

    async fn value_here(&self, query: &Query<'_>) -> Result<AnswerValue, String> {
        Ok(self.query_value_here(query).await.map_err(|failed| failed.to_string())?.0)
    }

    /// The clients of other nodes, but for some, each once. Those of one node stand together.
    fn all_elsewhere(&self, only: &[ClientId], except: &[ClientId]) -> Vec<ClientId> {
        let is_elsewhere = |client: &ClientId| self.local(*client).is_none();
        without(only.iter().copied().filter(is_elsewhere).collect(), except)
    }

    /// The node that has a client, if it is another.
    fn elsewhere(&self, client: ClientId) -> Option<SocketAddrV4> {
        self.local(client).is_none().then_some(client.node)
    }
}

/// Whether all nodes are to get an order, once, and do what concerns their own clients: parts of it for those alone whom they concern
/// would repeat too many bytes.
fn is_for_all(parts: usize, repeated: usize) -> bool {
    parts.saturating_sub(1).saturating_mul(repeated) > REPEATED
}

/// Sends to the nodes that hold each name what is for those who have it.
async fn send_by_name<'a>(
    cluster: &Cluster,
    outgoing: Outgoing<'_, 'a>,
    sort: NameKind,
    names: &[PhpStr<'a>],
) -> Result<(), String> {
    match names {
        [name] => cluster.send(cluster.holders(sort, name), outgoing.whole()?).await,
        names if is_for_all(names.len(), outgoing.order.repeated_bytes()) => {
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

/// Sends to each node what is for its clients, who stand together.
async fn send_by_node(
    cluster: &Cluster,
    outgoing: Outgoing<'_, '_>,
    clients: &[ClientId],
) -> Result<(), String> {
    let parts = || clients.chunk_by(|one, other| one.node == other.node);
    if is_for_all(parts().count(), outgoing.order.repeated_bytes()) {
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
        assert!(!is_for_all(0, usize::MAX) && !is_for_all(1, usize::MAX));
        assert!(!is_for_all(1000, 1000) && is_for_all(1000, 1100));
        // A hundred groups without a hundred thousand clients.
        assert!(is_for_all(100, 12 * 100_000) && is_for_all(usize::MAX, usize::MAX));
    }
}
