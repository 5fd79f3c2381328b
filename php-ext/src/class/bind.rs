//! Uids and groups of clients.

use gateway_wire::bridge::Order;

use super::method::methods;
use crate::args::{ClientOrCurrent, Name, Naming};
use crate::process::order;

methods! {
    fn bindUid(call, client_id: ClientOrCurrent, uid: Name) {
        let Some(uid) = uid.kept(Naming::Uid, "nothing was bound")? else { return Ok(()) };
        order(call.settings()?, Order::BindUid { client: client_id.0, uid })
    }

    /// Whatever the uid: a client has only one, and a program that logs somebody out may know it no more.
    fn unbindUid(call, client_id: ClientOrCurrent, uid: Name) {
        let _ = uid;
        order(call.settings()?, Order::UnbindUid { client: client_id.0 })
    }

    fn joinGroup(call, client_id: ClientOrCurrent, group: Name) {
        let Some(group) = group.kept(Naming::Group, "no group was joined")? else { return Ok(()) };
        order(call.settings()?, Order::JoinGroup { client: client_id.0, group })
    }

    fn leaveGroup(call, client_id: ClientOrCurrent, group: Name) {
        let Some(group) = group.filled(Naming::Group, "no group was left")? else { return Ok(()) };
        order(call.settings()?, Order::LeaveGroup { client: client_id.0, group })
    }

    /// Everybody leaves it.
    fn ungroup(call, group: Name) -> Option<bool> {
        let Some(group) = group.filled(Naming::Group, "nobody has left it")? else { return Ok(Some(false)) };
        order(call.settings()?, Order::Ungroup { group })?;
        Ok(None)
    }
}
