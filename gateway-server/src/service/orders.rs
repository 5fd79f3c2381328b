//! The effect of each order on the clients of this node.

use bytes::Bytes;
use gateway_wire::ClientId;
use gateway_wire::bridge::{MAX_NAME, Order, PhpStr, Route};
use gateway_wire::php_serialize;

use super::lists::{bytes, without};
use super::remote::Outgoing;
use super::{Gateway, OrderError};
use crate::protocol::Encoded;
use crate::protocol::websocket::MessageKind;
use crate::shard::{Name, Origin, SessionError, Stopped};

impl Gateway {
    /// Carries out an order on all nodes that it concerns. The inner error is for PHP. Messages go out with [`Gateway::flush`] at
    /// the latest. The clients of this node get theirs before this waits for the queue to other nodes.
    ///
    /// `encoded` is the call as it came over a bridge; a node that the whole order concerns gets these bytes as they are.
    pub async fn execute(
        &self,
        order: &Order<'_>,
        encoded: Option<&[u8]>,
    ) -> Result<Result<(), OrderError>, Stopped> {
        if order.is_durable() {
            // The store is this node's own.
            return self.execute_here(order, Origin::HERE).await;
        }
        let Some(cluster) = &self.cluster else { return self.execute_here(order, Origin::HERE).await };
        if let Err(refused) = self.check(order) {
            return Ok(Err(refused));
        }
        let outgoing = Outgoing { order, encoded };
        let passage = cluster.pass().await;
        if names_clients(order) {
            let here = self.carry_out(order, Origin::HERE).await?;
            // What another node has to do for a client is not waited for in the fence.
            drop(passage);
            let remote = self.execute_elsewhere(cluster, outgoing).await;
            let moved = self.execute_for_moved(order).await;
            return Ok(here.and(remote.and(moved).map_err(OrderError::Remote)));
        }
        if self.hub.has_arrivals() {
            // A client that comes from another node has to know whether it has got the message there.
            let (origin, remote) = self.publish(cluster, outgoing).await;
            let here = self.carry_out(order, origin).await?;
            return Ok(here.and(remote.map_err(OrderError::Remote)));
        }
        let here = self.carry_out(order, Origin::HERE).await?;
        let remote = self.execute_elsewhere(cluster, outgoing).await;
        Ok(here.and(remote.map_err(OrderError::Remote)))
    }

    /// Carries out the part of an order that concerns clients of this node, and those that have gone on at another one. What is awaited
    /// there is left to [`Gateway::execute_for_moved`].
    pub async fn execute_here(
        &self,
        order: &Order<'_>,
        origin: Origin,
    ) -> Result<Result<(), OrderError>, Stopped> {
        if let Err(refused) = self.check(order) {
            return Ok(Err(refused));
        }
        let origin = if names_clients(order) { Origin::HERE } else { origin };
        let here = self.carry_out(order, origin).await?;
        if order.is_awaited() {
            return Ok(here);
        }
        let moved = self.execute_for_moved(order).await;
        Ok(here.and(moved.map_err(OrderError::Remote)))
    }

    fn check(&self, order: &Order<'_>) -> Result<(), OrderError> {
        check(order, || self.settings.borrow().max_session_bytes).map_err(OrderError::Refused)
    }

    /// Carries out a checked order for clients of this node.
    pub(super) async fn carry_out(
        &self,
        order: &Order<'_>,
        origin: Origin,
    ) -> Result<Result<(), OrderError>, Stopped> {
        let name = |name: PhpStr| Name::from_slice(name);
        let hub = &self.hub;
        match order {
            Order::SendToAll { message, only: None, except, raw } => {
                hub.send_to_all(self.frame(message, *raw), self.all_except(except), origin).await?;
            }
            Order::SendToAll { message, only: Some(only), except, raw } => {
                let only = without(self.all_local(only), &self.all_except(except));
                hub.send_to_connections(self.frame(message, *raw), &only, origin).await?;
            }
            Order::SendToClient { client, message, raw } => {
                if let Some(connection_id) = self.local(*client) {
                    hub.send_to_connections(self.frame(message, *raw), &[connection_id], origin).await?;
                }
            }
            Order::SendToUids { uids, message, raw } => {
                hub.send_to_uids(|| self.frame(message, *raw), bytes(uids), origin).await?;
            }
            Order::SendToGroups { groups, message, except, raw } => {
                let frame = || self.frame(message, *raw);
                hub.send_to_groups(frame, bytes(groups), self.all_except(except), origin).await?;
            }
            Order::Send { .. } => self.send_with_options(order, origin).await?,
            Order::SendTracked { .. } => return self.send_tracked(order, origin).await,
            Order::Deliver { .. } | Order::Forget { .. } => return Ok(self.keep(order, None).await.await),
            Order::CloseUids { uids, last } => {
                let last = last.map(|last| self.frame(last, false));
                for connection_id in self.clients_of_uids(uids).await? {
                    hub.close(connection_id, last.clone()).await?;
                }
            }
            Order::Close { client, last } => {
                if let Some(connection_id) = self.local(*client) {
                    hub.close(connection_id, last.map(|last| self.frame(last, false))).await?;
                }
            }
            Order::BindUid { client, uid } => {
                if let Some(connection_id) = self.local(*client) {
                    hub.bind(connection_id, name(uid)).await?;
                }
            }
            Order::UnbindUid { client } => {
                if let Some(connection_id) = self.local(*client) {
                    hub.unbind(connection_id).await?;
                }
            }
            Order::JoinGroup { client, group } => {
                if let Some(connection_id) = self.local(*client) {
                    let joined = hub.join(connection_id, name(group)).await?;
                    return Ok(joined.map_err(|error| OrderError::Refused(error.to_string())));
                }
            }
            Order::LeaveGroup { client, group } => {
                if let Some(connection_id) = self.local(*client) {
                    hub.leave(connection_id, name(group)).await?;
                }
            }
            Order::Ungroup { group } => hub.ungroup(name(group)).await?,
            Order::Destroy { client } => {
                if let Some(connection_id) = self.local(*client) {
                    hub.destroy(connection_id).await?;
                }
            }
            Order::SetSession { client, session } => {
                if let Some(connection_id) = self.local(*client) {
                    hub.set_session(connection_id, Bytes::copy_from_slice(session)).await?;
                }
            }
            Order::UpdateSession { client, changes } => {
                if let Some(connection_id) = self.local(*client) {
                    let updated = hub.update_session(connection_id, Bytes::copy_from_slice(changes)).await?;
                    return Ok(updated.map_err(|error| OrderError::Refused(error.to_string())));
                }
            }
            Order::Never(never, _) => match *never {},
        }
        Ok(Ok(()))
    }

    /// Encodes the message for all its receivers. The bytes are copied, as they may wait for a slow client.
    pub(super) fn frame(&self, message: PhpStr, raw: bool) -> Encoded {
        self.frame_of(self.message_kind, message, raw)
    }

    pub(super) fn frame_of(&self, kind: MessageKind, message: PhpStr, raw: bool) -> Encoded {
        if raw {
            Encoded::raw(Bytes::copy_from_slice(message))
        } else {
            Encoded::new(kind, message, self.hub.wanted())
        }
    }

    /// Gives the connection number of a client of this node, or `None` for a client of another node. A client that has come from
    /// another node is also known by the client_id that it had there.
    pub(super) fn local(&self, client: ClientId) -> Option<u32> {
        if client.node == self.node { Some(client.connection) } else { self.moves.connection_of(client) }
    }

    /// Gives the connection numbers of clients that an order leaves out. A client that another node has not given yet is left out of what
    /// it may have got by then.
    pub(super) fn all_except(&self, clients: &[ClientId]) -> Vec<u32> {
        let number = |client: &ClientId| self.local(*client).or_else(|| self.moves.expected(*client));
        clients.iter().filter_map(number).collect()
    }

    pub(super) fn all_local(&self, clients: &[ClientId]) -> Vec<u32> {
        clients.iter().filter_map(|client| self.local(*client)).collect()
    }
}

/// Whether the order says by client_id which clients it concerns.
fn names_clients(order: &Order) -> bool {
    matches!(order.route(), Route::Client(_) | Route::Clients { .. })
}

/// Checks the names and sessions of an order before anything is done. They are kept for long, so their length is bounded.
fn check(order: &Order, max_session: impl Fn() -> usize) -> Result<(), String> {
    match order {
        Order::BindUid { uid, .. } => check_name("uid", uid),
        Order::JoinGroup { group, .. } => check_name("group", group),
        Order::SetSession { session, .. } if session.is_empty() => Ok(()),
        Order::SetSession { session: array, .. } | Order::UpdateSession { changes: array, .. } => {
            check_session(array, max_session()).map_err(|error| error.to_string())
        }
        _ => Ok(()),
    }
}

fn check_name(what: &str, name: PhpStr) -> Result<(), String> {
    match name.len() {
        0 => Err(format!("the {what} is empty")),
        1..=MAX_NAME => Ok(()),
        length => Err(format!("the {what} has {length} bytes, more than the {MAX_NAME} allowed")),
    }
}

fn check_session(serialized: &[u8], limit: usize) -> Result<(), SessionError> {
    match serialized.len() {
        length if length > limit => Err(SessionError::TooLarge { limit }),
        _ => Ok(php_serialize::check_array(serialized)?),
    }
}
