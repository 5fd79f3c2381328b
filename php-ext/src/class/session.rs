//! Sessions: PHP arrays that the gateway keeps, serialized, for as long as the connection lives.

use gateway_wire::bridge::{Order, Query};

use super::lists;
use super::method::methods;
use crate::args::{ArrayArgument, Client, ClientOrCurrent, GroupOrEverybody, Names, Text};
use crate::links::{order, query};
use crate::serialize;
use crate::values::{self, PhpArray};
use crate::worker;

methods! {
    /// Gives `[]` when the client has no session, and null when it is offline.
    fn getSession(call, client_id: Client) -> Zval {
        query(call.properties()?, Query::Session { client: client_id.0 }, |answer| {
            values::optional_bytes(answer)?.map_or_else(|| Ok(Zval::null()), serialize::read)
        })
    }

    fn setSession(call, client_id: ClientOrCurrent, session: ArrayArgument) {
        let serialized = serialize::write(&session.0)?;
        order(call.properties()?, Order::SetSession { client: client_id.0, session: serialized.wire() })?;
        worker::session_has_changed(client_id.0, true, &session.0)
    }

    fn updateSession(call, client_id: ClientOrCurrent, session: ArrayArgument) {
        let changes = serialize::write(&session.0)?;
        order(call.properties()?, Order::UpdateSession { client: client_id.0, changes: changes.wire() })?;
        worker::session_has_changed(client_id.0, false, &session.0)
    }

    /// Frameworks that serialize the session themselves use this.
    fn setSocketSession(call, client_id: ClientOrCurrent, session_str: Text) -> bool {
        order(call.properties()?, Order::SetSession { client: client_id.0, session: session_str.wire() })?;
        Ok(true)
    }

    fn getAllClientSessions(call, group: GroupOrEverybody = "") -> PhpArray {
        lists::sessions(call, group.groups())
    }

    fn getClientSessionsByGroup(call, group: Names) -> PhpArray {
        lists::sessions_of(call, &group)
    }

    /// Another name of `getAllClientSessions()`, which is deprecated.
    fn getAllClientInfo(call, group: GroupOrEverybody = "") -> PhpArray {
        lists::sessions(call, group.groups())
    }

    /// Another name of `getClientSessionsByGroup()`, which is deprecated.
    fn getClientInfoByGroup(call, group: Names) -> PhpArray {
        lists::sessions_of(call, &group)
    }
}
