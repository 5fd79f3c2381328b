//! Orders and queries about clients that have gone on at another node, by the client_ids that they had here.

use std::future::Future;
use std::pin::Pin;

use gateway_wire::ClientId;
use gateway_wire::bridge::{Order, Query, Route};

use super::super::Gateway;
use super::super::lists::without;
use super::super::remote::Outgoing;
use crate::shard::Origin;

impl Gateway {
    /// Carries out the part of an order for clients that have gone on at another node.
    pub async fn execute_for_moved(&self, order: &Order<'_>) -> Result<(), String> {
        if !self.moves.has_departed() {
            return Ok(());
        }
        let Some(cluster) = self.cluster.as_deref() else { return Ok(()) };
        let order = match order.route() {
            Route::Client(client) => match self.moved(client) {
                Some(to) => order.for_client(to),
                None => return Ok(()),
            },
            Route::Clients { only, except } => {
                let moved =
                    without(only.to_vec(), except).into_iter().filter_map(|client| self.moved(client));
                let mut moved: Vec<_> = moved.collect();
                if moved.is_empty() {
                    return Ok(());
                }
                moved.sort_unstable();
                order.for_clients(moved)
            }
            Route::Everybody | Route::Uids(_) | Route::Groups(_) => return Ok(()),
        };
        // A client that has come back here has a client_id of this node again.
        let here = self.carry_out(&order, Origin::HERE).await.map_err(|stopped| stopped.to_string())?;
        let elsewhere: Pin<Box<dyn Future<Output = _> + Send>> =
            Box::pin(self.execute_elsewhere(cluster, Outgoing { order: &order, encoded: None }));
        here.map_err(|error| error.to_string()).and(elsewhere.await)
    }

    /// The query about the client that a query is about, if that has gone on at another node.
    pub(in crate::service) fn query_about_moved<'q>(&self, query: &Query<'q>) -> Option<Query<'q>> {
        let to = self.moved(query.client()?)?;
        Some(query.for_client(to))
    }

    fn moved(&self, client: ClientId) -> Option<ClientId> {
        self.moves.gone_on(self.local(client)?)
    }
}
