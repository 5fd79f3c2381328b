//! The effect of each order on the clients of this node.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use gateway_wire::ClientId;
use gateway_wire::bridge::{MAX_NAME, Order, PhpStr};
use gateway_wire::php_serialize;

use super::lists::{bytes, without};
use super::remote::Outgoing;
use super::{Gateway, OrderError};
use crate::protocol::Encoded;
use crate::protocol::websocket::MessageKind;
use crate::shard::{Name, SessionError, Stopped};

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
        let Some(cluster) = &self.cluster else { return self.execute_here(order).await };
        if let Err(refused) = self.check(order) {
            return Ok(Err(refused));
        }
        let here = self.carry_out(order).await?;
        let remote = self.execute_elsewhere(cluster, Outgoing { order, encoded }).await;
        Ok(here.and(remote.map_err(OrderError::Remote)))
    }

    /// Carries out the part of an order that concerns clients of this node.
    pub async fn execute_here(&self, order: &Order<'_>) -> Result<Result<(), OrderError>, Stopped> {
        match self.check(order) {
            Ok(()) => self.carry_out(order).await,
            Err(refused) => Ok(Err(refused)),
        }
    }

    fn check(&self, order: &Order<'_>) -> Result<(), OrderError> {
        check(order, self.max_session.load(Ordering::Relaxed)).map_err(OrderError::Refused)
    }

    /// Carries out a checked order for clients of this node.
    async fn carry_out(&self, order: &Order<'_>) -> Result<Result<(), OrderError>, Stopped> {
        let name = |name: PhpStr| Name::from_slice(name);
        let hub = &self.hub;
        match order {
            Order::SendToAll { message, only: None, except, raw } => {
                hub.send_to_all(self.frame(message, *raw), self.all_local(except)).await?;
            }
            Order::SendToAll { message, only: Some(only), except, raw } => {
                let only = without(self.all_local(only), &self.all_local(except));
                hub.send_to_connections(self.frame(message, *raw), &only).await?;
            }
            Order::SendToClient { client, message, raw } => {
                if let Some(connection_id) = self.local(*client) {
                    hub.send_to_connections(self.frame(message, *raw), &[connection_id]).await?;
                }
            }
            Order::SendToUids { uids, message, raw } => {
                hub.send_to_uids(|| self.frame(message, *raw), bytes(uids)).await?;
            }
            Order::SendToGroups { groups, message, except, raw } => {
                let frame = || self.frame(message, *raw);
                hub.send_to_groups(frame, bytes(groups), self.all_local(except)).await?;
            }
            Order::Send { .. } => self.send_with_options(order).await?,
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
    fn frame(&self, message: PhpStr, raw: bool) -> Encoded {
        self.frame_of(self.message_kind, message, raw)
    }

    pub(super) fn frame_of(&self, kind: MessageKind, message: PhpStr, raw: bool) -> Encoded {
        if raw {
            Encoded::raw(Bytes::copy_from_slice(message))
        } else {
            Encoded::new(kind, message, self.hub.wanted())
        }
    }

    /// Gives the connection number of a client of this node, or `None` for a client of another node.
    pub(super) fn local(&self, client: ClientId) -> Option<u32> {
        (client.node == self.node).then_some(client.connection)
    }

    pub(super) fn all_local(&self, clients: &[ClientId]) -> Vec<u32> {
        clients.iter().filter_map(|client| self.local(*client)).collect()
    }
}

/// Checks the names and sessions of an order before anything is done. They are kept for long, so their length is bounded.
fn check(order: &Order, max_session: usize) -> Result<(), String> {
    match order {
        Order::BindUid { uid, .. } => check_name("uid", uid),
        Order::JoinGroup { group, .. } => check_name("group", group),
        Order::SetSession { session, .. } if session.is_empty() => Ok(()),
        Order::SetSession { session: array, .. } | Order::UpdateSession { changes: array, .. } => {
            check_session(array, max_session).map_err(|error| error.to_string())
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
