//! Queries that are answered with whole lists: of clients, uids, groups, sessions.

use ext_php_rs::types::Zval;
use gateway_wire::bridge::{PhpStr, Query, RawValue};

use super::method::{MethodCall, methods};
use crate::args::Names;
use crate::errors::Failure;
use crate::links::query;
use crate::serialize;
use crate::values::{self, PhpArray};
use crate::worker;

methods! {
    fn getAllClientIdList(call) -> PhpArray {
        query(call.properties()?, Query::Clients { groups: None }, values::client_id_map)
    }

    fn getClientIdListByGroup(call, group: Names) -> PhpArray {
        let Some(groups) = members_of(&group) else { return Ok(PhpArray::default()) };
        query(call.properties()?, Query::Clients { groups: Some(groups) }, values::client_id_map)
    }

    fn getAllUidList(call) -> PhpArray {
        query(call.properties()?, Query::Uids { groups: None }, |names| values::name_map(names, values::string))
    }

    fn getUidListByGroup(call, group: Names) -> PhpArray {
        let Some(groups) = members_of(&group) else { return Ok(PhpArray::default()) };
        query(call.properties()?, Query::Uids { groups: Some(groups) }, |names| values::name_map(names, values::string))
    }

    fn getUidCountByGroup(call, group: Names) -> i64 {
        let Some(groups) = members_of(&group) else { return Ok(0) };
        query(call.properties()?, Query::UidCount { groups: Some(groups) }, values::count)
    }

    fn getAllGroupIdList(call) -> PhpArray {
        query(call.properties()?, Query::Groups {}, |names| values::name_map(names, values::group))
    }

    fn getAllGroupUidList(call) -> PhpArray {
        query(call.properties()?, Query::GroupUids {}, |groups| {
            values::group_map(groups, |uids| Ok(values::name_map(uids, values::string)?.0))
        })
    }

    fn getAllGroupUidCount(call) -> PhpArray {
        query(call.properties()?, Query::GroupUidCounts {}, |groups| values::group_map(groups, count))
    }

    fn getAllGroupClientIdList(call) -> PhpArray {
        query(call.properties()?, Query::GroupClients {}, |groups| {
            values::group_map(groups, |clients| Ok(values::client_id_map(clients)?.0))
        })
    }

    fn getAllGroupClientIdCount(call) -> PhpArray {
        query(call.properties()?, Query::GroupClientCounts {}, |groups| values::group_map(groups, count))
    }
}

/// Queries the sessions of everybody, or of the members of some groups.
pub(super) fn sessions(call: &MethodCall, groups: Option<Vec<PhpStr>>) -> Result<PhpArray, Failure> {
    query(call.properties()?, Query::Sessions { groups }, |sessions| {
        values::map(values::entries(sessions)?.map(|entry| {
            let (id, session) = entry?;
            let client = values::client_id(id)?;
            let id = client.to_hex();
            // The changes that a handler makes are written when its event ends.
            if let Some(session) = worker::current_session(client) {
                return Ok((id, session));
            }
            // A session that cannot be read has raised a notice, and is shown as an empty one.
            let session = serialize::read(values::bytes(session)?)?;
            Ok((id, if session.is_array() { session } else { Zval::new_array() }))
        }))
    })
}

pub(super) fn sessions_of(call: &MethodCall, group: &Names) -> Result<PhpArray, Failure> {
    match members_of(group) {
        Some(groups) => sessions(call, Some(groups)),
        None => Ok(PhpArray::default()),
    }
}

/// Gives `None` when there is no group to ask about.
fn members_of(group: &Names) -> Option<Vec<PhpStr<'_>>> {
    let groups = group.asked();
    (!groups.is_empty()).then(|| groups.into_vec())
}

fn count(value: RawValue<'_>) -> Result<Zval, Failure> {
    values::count(value).map(values::long)
}
