//! Questions that are answered with everything there is: clients, uids, groups, sessions.

use ext_php_rs::types::Zval;
use gateway_wire::bridge::{Query, Str, Value};

use super::method::{Call, methods};
use crate::args::{Names, Naming};
use crate::errors::Failure;
use crate::process::query;
use crate::serialize;
use crate::values::{self, List};

const NOT_ASKED: &str = "nobody is in it";

methods! {
    fn getAllClientIdList(call) -> List {
        values::client_id_map(&query(call.settings()?, Query::Clients { groups: None })?)
    }

    fn getClientIdListByGroup(call, group: Names) -> List {
        let Some(groups) = members_of(&group)? else { return Ok(List::default()) };
        values::client_id_map(&query(call.settings()?, Query::Clients { groups: Some(groups) })?)
    }

    fn getAllUidList(call) -> List {
        values::name_map(&query(call.settings()?, Query::Uids { groups: None })?, values::string)
    }

    fn getUidListByGroup(call, group: Names) -> List {
        let Some(groups) = members_of(&group)? else { return Ok(List::default()) };
        values::name_map(&query(call.settings()?, Query::Uids { groups: Some(groups) })?, values::string)
    }

    fn getUidCountByGroup(call, group: Names) -> i64 {
        let Some(groups) = members_of(&group)? else { return Ok(0) };
        values::count(&query(call.settings()?, Query::UidCount { groups: Some(groups) })?)
    }

    fn getAllGroupIdList(call) -> List {
        values::name_map(&query(call.settings()?, Query::Groups {})?, values::group)
    }

    fn getAllGroupUidList(call) -> List {
        let answer = query(call.settings()?, Query::GroupUids {})?;
        values::group_map(&answer, |uids| Ok(values::name_map(uids, values::string)?.0))
    }

    fn getAllGroupUidCount(call) -> List {
        values::group_map(&query(call.settings()?, Query::GroupUidCounts {})?, count)
    }

    fn getAllGroupClientIdList(call) -> List {
        let answer = query(call.settings()?, Query::GroupClients {})?;
        values::group_map(&answer, |clients| Ok(values::client_id_map(clients)?.0))
    }

    fn getAllGroupClientIdCount(call) -> List {
        values::group_map(&query(call.settings()?, Query::GroupClientCounts {})?, count)
    }
}

/// The sessions of everybody, or of the members of some groups.
pub(super) fn sessions(call: &Call, groups: Option<Vec<Str>>) -> Result<List, Failure> {
    let answer = query(call.settings()?, Query::Sessions { groups })?;
    let sessions = values::entries(&answer)?
        .map(|entry| {
            let (id, session) = entry?;
            Ok((values::client_id(id)?.to_hex(), session))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    values::map(sessions.iter().map(|(id, session)| {
        // A session that cannot be read has been told of, and stands as an empty one.
        let session = serialize::read(values::bytes(session)?)?;
        Ok((id.as_slice(), if session.is_array() { session } else { Zval::new_array() }))
    }))
}

pub(super) fn sessions_of(call: &Call, group: &Names) -> Result<List, Failure> {
    match members_of(group)? {
        Some(groups) => sessions(call, Some(groups)),
        None => Ok(List::default()),
    }
}

/// `None`, after a warning, when there is no group to ask about.
fn members_of<'a>(group: &'a Names) -> Result<Option<Vec<Str<'a>>>, Failure> {
    let groups = group.filled(Naming::Group, NOT_ASKED)?;
    Ok((!groups.is_empty()).then_some(groups.into_vec()))
}

fn count(value: &Value) -> Result<Zval, Failure> {
    values::count(value).map(values::long)
}
