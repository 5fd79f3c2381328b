//! Uids and groups of clients.

use gateway_wire::bridge::Order;

use super::method::methods;
use crate::args::{ClientOrCurrent, Name, NameKind};
use crate::links::order;

methods! {
    fn bindUid(call, client_id: ClientOrCurrent, uid: Name) {
        let Some(uid) = uid.kept(NameKind::Uid, "nothing was bound")? else { return Ok(()) };
        order(call.properties()?, Order::BindUid { client: client_id.0, uid })
    }

    /// Unbinds whichever uid the client has: it has only one, and a program that logs a user out may not know it any more.
    fn unbindUid(call, client_id: ClientOrCurrent, uid: Name) {
        let _ = uid;
        order(call.properties()?, Order::UnbindUid { client: client_id.0 })
    }

    fn joinGroup(call, client_id: ClientOrCurrent, group: Name) {
        let Some(group) = group.kept(NameKind::Group, "no group was joined")? else { return Ok(()) };
        order(call.properties()?, Order::JoinGroup { client: client_id.0, group })
    }

    fn leaveGroup(call, client_id: ClientOrCurrent, group: Name) {
        let Some(group) = group.filled(NameKind::Group, "no group was left")? else { return Ok(()) };
        order(call.properties()?, Order::LeaveGroup { client: client_id.0, group })
    }

    /// Removes every client from the group.
    fn ungroup(call, group: Name) -> Option<bool> {
        let Some(group) = group.filled(NameKind::Group, "nobody has left it")? else { return Ok(Some(false)) };
        order(call.properties()?, Order::Ungroup { group })?;
        Ok(None)
    }
}
