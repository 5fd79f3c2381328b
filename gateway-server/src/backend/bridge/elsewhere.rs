//! What orders and queries are about on other nodes of the cluster.

use std::net::SocketAddrV4;

use gateway_wire::ClientId;
use gateway_wire::bridge::{Order, Query, Str, Value};
use smallvec::smallvec;

use super::Bridge;
use super::merge::{Merge, count};
use super::orders::without;
use crate::cluster::{Cluster, To};
use crate::shard::Sort;

/// Bytes that an order may repeat so that each of its parts reaches those nodes alone that it concerns.
const REPEATED: usize = 1 << 20;
/// Bytes of a client's id in a call, about.
const ID: usize = 12;

impl Bridge {
    /// Has the other nodes do their part of an order.
    pub(super) async fn order_elsewhere(&self, cluster: &Cluster, order: &Order<'_>) -> Result<(), String> {
        match order {
            Order::SendToAll { only: None, .. } => cluster.send(To::All, order).await?,
            Order::SendToAll { message, only: Some(only), except, raw } => {
                let part = |only| Order::SendToAll { message, only: Some(only), except: vec![], raw: *raw };
                let clients = self.all_elsewhere(only, except);
                order_by_node(cluster, order, &clients, message.len(), part).await?;
            }
            Order::SendToUids { uids, message, raw } => {
                let part = |uid| Order::SendToUids { uids: smallvec![uid], message, raw: *raw };
                order_by_name(cluster, order, Sort::Uid, uids, message.len(), part).await?;
            }
            Order::SendToGroups { groups, message, except, raw } => {
                let repeated = message.len() + ID * except.len();
                let part = |group| {
                    let (groups, except) = (smallvec![group], except.clone());
                    Order::SendToGroups { groups, message, except, raw: *raw }
                };
                order_by_name(cluster, order, Sort::Group, groups, repeated, part).await?;
            }
            Order::Send { message, only, uids, groups, except, except_groups, raw, kind } => {
                let part = |only, uids, groups, except| Order::Send {
                    message,
                    only,
                    uids,
                    groups,
                    except,
                    except_groups: except_groups.clone(),
                    raw: *raw,
                    kind: *kind,
                };
                let names: usize = except_groups.iter().map(|group| group.len()).sum();
                let repeated = message.len() + names + ID * except.len();
                if let Some(only) = only {
                    let clients = self.all_elsewhere(only, except);
                    let part = |only| part(Some(only), None, None, vec![]);
                    order_by_node(cluster, order, &clients, message.len() + names, part).await?;
                } else if let Some(uids) = uids {
                    let part = |uid| part(None, Some(vec![uid]), None, except.clone());
                    order_by_name(cluster, order, Sort::Uid, uids, repeated, part).await?;
                } else if let Some(groups) = groups {
                    let part = |group| part(None, None, Some(vec![group]), except.clone());
                    order_by_name(cluster, order, Sort::Group, groups, repeated, part).await?;
                } else {
                    cluster.send(To::All, order).await?;
                }
            }
            Order::CloseUids { uids, last } => {
                let part = |uid| Order::CloseUids { uids: smallvec![uid], last: *last };
                let repeated = last.map_or(0, |last| last.len());
                order_by_name(cluster, order, Sort::Uid, uids, repeated, part).await?;
            }
            Order::Ungroup { group } => cluster.send(cluster.holders(Sort::Group, group), order).await?,
            // What may fail, and what pushes that follow have to find done.
            Order::BindUid { client, .. }
            | Order::JoinGroup { client, .. }
            | Order::UpdateSession { client, .. } => {
                if let Some(node) = self.elsewhere(*client) {
                    cluster.order_at(node, order).await?;
                }
            }
            Order::SendToClient { client, .. }
            | Order::Close { client, .. }
            | Order::UnbindUid { client }
            | Order::LeaveGroup { client, .. }
            | Order::Destroy { client }
            | Order::SetSession { client, .. } => {
                if let Some(node) = self.elsewhere(*client) {
                    cluster.send(To::Node(node), order).await?;
                }
            }
            Order::Never(never, _) => match *never {},
        }
        Ok(())
    }

    /// The answer of the whole cluster.
    pub(super) async fn answer_everywhere(
        &self,
        cluster: &Cluster,
        query: &Query<'_>,
    ) -> Result<Value, String> {
        // What was bound here is found by others from here on.
        cluster.settled().await;
        if let Query::IsOnline { client }
        | Query::UidOfClient { client }
        | Query::ProofOfClient { client }
        | Query::Session { client } = query
            && let Some(node) = self.elsewhere(*client)
        {
            let offline =
                if matches!(query, Query::IsOnline { .. }) { Value::Bool(false) } else { Value::Null };
            return Ok(cluster.query_at(node, query).await?.unwrap_or(offline));
        }
        // Uids that several nodes have count once.
        let (asked, is_count) = match query {
            Query::UidCount { groups } => (Query::Uids { groups: groups.clone() }, true),
            Query::GroupUidCounts {} => (Query::GroupUids {}, true),
            other => (other.clone(), false),
        };
        let Some(merge) = Merge::of(&asked) else { return self.value_here(query).await };
        let (here, elsewhere) = tokio::join!(self.value_here(&asked), cluster.gather(&asked));
        let whole = merge.all(std::iter::once(here?).chain(elsewhere?))?;
        Ok(if is_count { count(whole) } else { whole })
    }

    async fn value_here(&self, query: &Query<'_>) -> Result<Value, String> {
        Ok(self.ask_here(query).await.map_err(|failed| failed.to_string())?.0)
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
async fn order_by_name<'a>(
    cluster: &Cluster,
    order: &Order<'a>,
    sort: Sort,
    names: &[Str<'a>],
    repeated: usize,
    part: impl Fn(Str<'a>) -> Order<'a>,
) -> Result<(), String> {
    if is_for_all(names.len(), repeated) {
        return cluster.send(To::All, order).await;
    }
    for name in names {
        cluster.send(cluster.holders(sort, name), &part(name)).await?;
    }
    Ok(())
}

/// Sends to each node what is for its clients, who stand together.
async fn order_by_node<'a>(
    cluster: &Cluster,
    order: &Order<'a>,
    clients: &[ClientId],
    repeated: usize,
    part: impl Fn(Vec<ClientId>) -> Order<'a>,
) -> Result<(), String> {
    let parts = || clients.chunk_by(|one, other| one.node == other.node);
    if is_for_all(parts().count(), repeated) {
        return cluster.send(To::All, order).await;
    }
    for clients in parts() {
        cluster.send(To::Node(clients[0].node), &part(clients.to_vec())).await?;
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
        assert!(is_for_all(100, ID * 100_000) && is_for_all(usize::MAX, usize::MAX));
    }
}
