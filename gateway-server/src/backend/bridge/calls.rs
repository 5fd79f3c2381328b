//! What each call does.

use bytes::Bytes;
use gateway_wire::ClientId;
use gateway_wire::bridge::{MAX_NAME, Order, Query, Str};

use super::Bridge;
use super::io::Connection;
use crate::client::websocket;
use crate::shard::{Name, Stopped};

impl Bridge {
    /// Carries out an order. The inner error is PHP's fault and is told to PHP; nothing has been done then.
    ///
    /// `content` is the memory from which the order's strings are borrowed.
    pub(super) async fn obey(
        &self,
        order: &Order<'_>,
        content: &Bytes,
    ) -> Result<Result<(), String>, Stopped> {
        if let Err(message) = check_names(order) {
            return Ok(Err(message));
        }
        let name = |name: Str| content.slice_ref(name);
        let names = |names: &[Str]| names.iter().map(|name| content.slice_ref(name)).collect::<Vec<Name>>();
        let hub = &self.hub;
        match order {
            Order::SendToAll { message, only: None, except, raw } => {
                hub.send_to_all(self.frame(message, *raw, content), self.all_local(except)).await?;
            }
            Order::SendToAll { message, only: Some(only), except, raw } => {
                let except = self.all_local(except);
                let mut only = self.all_local(only);
                only.retain(|number| !except.contains(number));
                hub.send_to_connections(self.frame(message, *raw, content), &only).await?;
            }
            Order::SendToClient { client, message, raw } => {
                if let Some(number) = self.local(*client) {
                    hub.send_to_connections(self.frame(message, *raw, content), &[number]).await?;
                }
            }
            Order::SendToUids { uids, message, raw } => {
                hub.send_to_uids(self.frame(message, *raw, content), &names(uids)).await?;
            }
            Order::SendToGroups { groups, message, except, raw } => {
                let frame = self.frame(message, *raw, content);
                hub.send_to_groups(frame, &names(groups), self.all_local(except)).await?;
            }
            Order::Close { client, last } => {
                if let Some(number) = self.local(*client) {
                    hub.close(number, last.map(|last| self.frame(last, false, content))).await?;
                }
            }
            Order::BindUid { client, uid } => {
                if let Some(number) = self.local(*client) {
                    hub.bind(number, name(uid)).await?;
                }
            }
            Order::UnbindUid { client } => {
                if let Some(number) = self.local(*client) {
                    hub.unbind(number).await?;
                }
            }
            Order::JoinGroup { client, group } => {
                if let Some(number) = self.local(*client) {
                    hub.join(number, name(group)).await?;
                }
            }
            Order::LeaveGroup { client, group } => {
                if let Some(number) = self.local(*client) {
                    hub.leave(number, name(group)).await?;
                }
            }
            Order::Never(never, _) => match *never {},
        }
        Ok(Ok(()))
    }

    /// Answers a query, which sees every earlier order of the same PHP process.
    pub(super) async fn answer(
        &self,
        query: &Query<'_>,
        content: &Bytes,
        seq: u64,
        connection: &mut Connection,
    ) -> Result<(), Stopped> {
        let hub = &self.hub;
        match query {
            Query::IsOnline { client } => {
                let is_online = match self.local(*client) {
                    Some(number) => hub.is_online(number).await?,
                    None => false,
                };
                connection.answer(seq, &is_online);
            }
            Query::IsUidOnline { uid } => {
                connection.answer(seq, &hub.is_uid_online(&content.slice_ref(uid)).await?);
            }
            Query::ClientsOfUid { uid } => {
                let numbers = hub.connections_of_uid(&content.slice_ref(uid)).await?;
                let ids: Vec<_> =
                    numbers.into_iter().map(|number| ClientId::new(self.node, number)).collect();
                connection.answer(seq, &ids);
            }
            Query::UidOfClient { client } => {
                let uid = match self.local(*client) {
                    Some(number) => hub.uid_of(number).await?,
                    None => None,
                };
                connection.answer(seq, &uid.as_deref().map(serde_bytes::Bytes::new));
            }
            Query::ClientCount {} => connection.answer(seq, &hub.count().await?),
            Query::Never(never, _) => match *never {},
        }
        Ok(())
    }

    /// The message as all its receivers get it.
    fn frame(&self, message: Str, raw: bool, content: &Bytes) -> Bytes {
        if raw { content.slice_ref(message) } else { websocket::message(self.message_kind, message) }
    }

    /// The connection of a client of this node; nobody else holds one here.
    fn local(&self, client: ClientId) -> Option<u32> {
        (client.node == self.node).then_some(client.connection)
    }

    fn all_local(&self, clients: &[ClientId]) -> Vec<u32> {
        clients.iter().filter_map(|client| self.local(*client)).collect()
    }
}

/// Names are kept for long, so they are bounded.
fn check_names(order: &Order) -> Result<(), String> {
    let (what, longest) = match order {
        Order::BindUid { uid, .. } => ("uid", uid.len()),
        Order::JoinGroup { group, .. } => ("group", group.len()),
        _ => return Ok(()),
    };
    match longest {
        0 => Err(format!("the {what} is empty")),
        1..=MAX_NAME => Ok(()),
        length => Err(format!("the {what} has {length} bytes, more than the {MAX_NAME} allowed")),
    }
}
