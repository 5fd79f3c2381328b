//! What becomes of clients that have moved: whether the other node has them, and when their old client_ids can be forgotten.

use std::net::SocketAddrV4;
use std::time::Duration;

use gateway_wire::ClientId;
use hashbrown::HashMap;

use super::super::Gateway;
use super::super::moved_clients::Departed;
use crate::cluster::{Cluster, MoveReply, MoveRequest, Whereabouts};

/// The time between two looks at the clients that have moved.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many looks pass between two questions about a client that is known to have arrived.
const LOOKS_IF_ARRIVED: u64 = 30;
/// The time for which a node remembers a client that has come and ended.
const REMEMBERED: Duration = Duration::from_secs(120);
/// The number of clients in one question.
const ASKED_TOGETHER: usize = 10_000;

impl Gateway {
    /// Looks, for as long as the server runs, what has become of the clients that have moved.
    pub async fn watch_moves(&self) -> std::convert::Infallible {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for look in 1.. {
            looks.tick().await;
            if let Some(cluster) = &self.cluster {
                self.look_at_departed(cluster, look).await;
                self.look_at_arrived().await;
            }
        }
        std::future::pending().await
    }

    async fn look_at_departed(&self, cluster: &Cluster, look: u64) {
        let mut by_node: HashMap<SocketAddrV4, Vec<(u32, ClientId)>> = HashMap::new();
        for (connection_id, departed) in self.moves.all_departed() {
            if !departed.is_confirmed || look.is_multiple_of(LOOKS_IF_ARRIVED) {
                by_node.entry(departed.to.node).or_default().push((connection_id, departed.to));
            }
        }
        for (node, connection_ids) in by_node {
            for some in connection_ids.chunks(ASKED_TOGETHER) {
                let clients = some.iter().map(|(_, to)| *to).collect();
                let found = match cluster.ask_about_move(node, &MoveRequest::Whereabouts { clients }).await {
                    Ok(Some(MoveReply::Whereabouts(found))) => found,
                    // The node has gone with its clients.
                    Ok(None) => vec![Whereabouts::Unknown; some.len()],
                    Ok(Some(_)) | Err(_) => continue,
                };
                for ((connection_id, _), whereabouts) in some.iter().zip(found) {
                    self.settle(*connection_id, whereabouts).await;
                }
            }
        }
    }

    /// Settles what the node to which a client has gone says of it.
    async fn settle(&self, connection_id: u32, whereabouts: Whereabouts) {
        let Some(before) = self.moves.departed(connection_id) else { return };
        let was_taken = match whereabouts {
            Whereabouts::Coming => return,
            Whereabouts::Here | Whereabouts::Ended => true,
            Whereabouts::Unknown => false,
        };
        if !before.is_confirmed {
            self.hub.settle_departed(connection_id, was_taken).await;
        }
        if whereabouts == Whereabouts::Here {
            self.moves.depart(connection_id, Departed { is_confirmed: true, ..before });
        } else {
            self.moves.forget_departed(connection_id);
        }
    }

    /// Forgets the old client_ids of clients that have ended a while ago.
    async fn look_at_arrived(&self) {
        for (connection_id, since) in self.moves.all_arrived() {
            if since.is_none_or(|since| since.elapsed() <= REMEMBERED) {
                continue;
            }
            let is_here = self.moves.gone_on(connection_id).is_some()
                || self.hub.is_online(connection_id).await.unwrap_or(false);
            if !is_here {
                self.moves.forget_arrived(connection_id);
            }
        }
    }
}
