//! Sending and closing.

use gateway_wire::bridge::Order;

use super::method::{Call, methods};
use crate::args::{Client, ClientOrCurrent, Except, Message, Names, Only, Raw};
use crate::errors::Failure;
use crate::process::order;

methods! {
    fn sendToAll(
        call,
        message: Message,
        client_id_array: Only = null,
        exclude_client_id: Except = null,
        raw: Raw = false
    ) {
        let (Only(only), Except(except)) = (client_id_array, exclude_client_id);
        if only.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        order(call.settings()?, Order::SendToAll { message: message.wire(), only, except, raw: raw.0 })
    }

    fn sendToClient(call, client_id: ClientOrCurrent, message: Message, raw: Raw = false) -> bool {
        order(
            call.settings()?,
            Order::SendToClient { client: client_id.0, message: message.wire(), raw: raw.0 },
        )?;
        Ok(true)
    }

    fn sendToUid(call, uid: Names, message: Message, raw: Raw = false) {
        let uids = uid.asked();
        if uids.is_empty() {
            return Ok(());
        }
        order(call.settings()?, Order::SendToUids { uids, message: message.wire(), raw: raw.0 })
    }

    fn sendToGroup(
        call,
        group: Names,
        message: Message,
        exclude_client_id: Except = null,
        raw: Raw = false
    ) -> Option<bool> {
        let groups = group.asked();
        if groups.is_empty() {
            return Ok(group.is_empty().then_some(false));
        }
        let except = exclude_client_id.0;
        order(
            call.settings()?,
            Order::SendToGroups { groups, message: message.wire(), except, raw: raw.0 },
        )?;
        Ok(None)
    }

    fn closeClient(call, client_id: Client, message: Option<Message> = null) -> bool {
        let last = message.as_ref().map(Message::wire);
        order(call.settings()?, Order::Close { client: client_id.0, last })?;
        Ok(true)
    }

    /// The original's spelling.
    fn destoryClient(call, client_id: Client) -> bool {
        destroy(call, &client_id)
    }

    fn destroyClient(call, client_id: Client) -> bool {
        destroy(call, &client_id)
    }
}

/// At once: nothing that is queued goes out.
fn destroy(call: &Call, client: &Client) -> Result<bool, Failure> {
    order(call.settings()?, Order::Destroy { client: client.0 })?;
    Ok(true)
}
