//! Sends with rarely used options: groups that are left out, uids without some of their clients, or a choice of text or binary.
//!
//! The shards cannot exclude groups, or clients of a uid, so the clients are looked up before the message is sent.

use gateway_wire::bridge::{Order, PhpStr, kind};

use super::Gateway;
use super::lists::{bytes, without};
use crate::protocol::websocket::MessageKind;
use crate::shard::{Name, Origin, Stopped};

impl Gateway {
    /// Carries out the order for the clients of this node.
    pub(super) async fn send_with_options(&self, order: &Order<'_>, origin: Origin) -> Result<(), Stopped> {
        let Order::Send { message, only, uids, groups, except, except_groups, raw, kind } = order else {
            return Ok(());
        };
        let kind = match *kind {
            kind::TEXT => MessageKind::Text,
            kind::BINARY => MessageKind::Binary,
            _ => self.message_kind,
        };
        let frame = || self.frame_of(kind, message, *raw);
        let mut except = self.all_except(except);
        if !except_groups.is_empty() {
            let groups = bytes(except_groups).map(Name::from_slice).collect();
            except.extend(self.hub.clients(Some(groups)).await?);
        }
        match (only, uids, groups) {
            (Some(only), _, _) => {
                let only = without(self.all_local(only), &except);
                self.hub.send_to_connections(frame(), &only, origin).await
            }
            (None, Some(uids), _) => {
                let only = without(self.clients_of_uids(uids).await?, &except);
                self.hub.send_to_connections(frame(), &only, origin).await
            }
            (None, None, Some(groups)) => self.hub.send_to_groups(frame, bytes(groups), except, origin).await,
            (None, None, None) => self.hub.send_to_all(frame(), except, origin).await,
        }
    }

    pub(super) async fn clients_of_uids(&self, uids: &[PhpStr<'_>]) -> Result<Vec<u32>, Stopped> {
        let mut clients = Vec::new();
        for uid in uids {
            clients.extend(self.hub.clients_of_uid(&Name::from_slice(uid)).await?);
        }
        Ok(clients)
    }
}
