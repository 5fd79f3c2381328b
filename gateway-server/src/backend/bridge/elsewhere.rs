//! What orders and queries are about on other nodes of the cluster.

use std::net::SocketAddrV4;

use gateway_wire::ClientId;
use gateway_wire::bridge::{Order, Query, Value};
use smallvec::smallvec;

use super::Bridge;
use super::merge::{Merge, count};
use super::orders::without;
use crate::cluster::{Cluster, To};
use crate::shard::Sort;

impl Bridge {
    /// Has the other nodes do their part of an order.
    pub(super) async fn order_elsewhere(&self, cluster: &Cluster, order: &Order<'_>) -> Result<(), String> {
        match order {
            Order::SendToAll { only: None, .. } => cluster.send(To::All, order).await?,
            Order::SendToAll { message, only: Some(only), except, raw } => {
                let is_elsewhere = |client: &ClientId| self.local(*client).is_none();
                // Sorted, those of one node stand together.
                let clients = without(only.iter().copied().filter(is_elsewhere).collect(), except);
                for clients in clients.chunk_by(|one, other| one.node == other.node) {
                    let (only, except) = (Some(clients.to_vec()), Vec::new());
                    let part = Order::SendToAll { message, only, except, raw: *raw };
                    cluster.send(To::Node(clients[0].node), &part).await?;
                }
            }
            Order::SendToUids { uids, message, raw } => {
                for uid in uids {
                    let part = Order::SendToUids { uids: smallvec![*uid], message, raw: *raw };
                    cluster.send(cluster.holders(Sort::Uid, uid), &part).await?;
                }
            }
            Order::SendToGroups { groups, message, except, raw } => {
                for group in groups {
                    let (groups, except) = (smallvec![*group], except.clone());
                    let part = Order::SendToGroups { groups, message, except, raw: *raw };
                    cluster.send(cluster.holders(Sort::Group, group), &part).await?;
                }
            }
            Order::Send { message, only, uids, groups, except, except_groups, raw, kind } => {
                let part = |only, uids, groups| Order::Send {
                    message,
                    only,
                    uids,
                    groups,
                    except: except.clone(),
                    except_groups: except_groups.clone(),
                    raw: *raw,
                    kind: *kind,
                };
                if let Some(only) = only {
                    let is_elsewhere = |client: &ClientId| self.local(*client).is_none();
                    let clients = without(only.iter().copied().filter(is_elsewhere).collect(), except);
                    for clients in clients.chunk_by(|one, other| one.node == other.node) {
                        let part = part(Some(clients.to_vec()), None, None);
                        cluster.send(To::Node(clients[0].node), &part).await?;
                    }
                } else if let Some(uids) = uids {
                    for uid in uids {
                        let part = part(None, Some(vec![*uid]), None);
                        cluster.send(cluster.holders(Sort::Uid, uid), &part).await?;
                    }
                } else if let Some(groups) = groups {
                    for group in groups {
                        let part = part(None, None, Some(vec![*group]));
                        cluster.send(cluster.holders(Sort::Group, group), &part).await?;
                    }
                } else {
                    cluster.send(To::All, order).await?;
                }
            }
            Order::CloseUids { uids, last } => {
                for uid in uids {
                    let part = Order::CloseUids { uids: smallvec![*uid], last: *last };
                    cluster.send(cluster.holders(Sort::Uid, uid), &part).await?;
                }
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

    /// The node that has a client, if it is another.
    fn elsewhere(&self, client: ClientId) -> Option<SocketAddrV4> {
        self.local(client).is_none().then_some(client.node)
    }
}
