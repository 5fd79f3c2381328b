//! Queries about a client, a uid or a count.

use gateway_wire::bridge::Query;

use super::method::{MethodCall, methods};
use crate::args::{Client, Name, NameList};
use crate::errors::Failure;
use crate::links::query;
use crate::values::{self, PhpArray};

methods! {
    fn isOnline(call, client_id: Client) -> i64 {
        query(call.properties()?, Query::IsOnline { client: client_id.0 }, values::flag)
    }

    fn isUidOnline(call, uid: Name) -> i64 {
        let Some(uid) = uid.asked() else { return Ok(0) };
        query(call.properties()?, Query::IsUidOnline { uid }, values::flag)
    }

    fn isUidsOnline(call, uids: NameList) -> PhpArray {
        let uids = uids.wire();
        query(call.properties()?, Query::AreUidsOnline { uids: uids.clone() }, |answer| {
            let online = uids.iter().zip(values::items(answer)?);
            values::map(online.map(|(uid, is_online)| Ok((&***uid, values::long(values::flag(is_online?)?)))))
        })
    }

    fn getClientIdByUid(call, uid: Name) -> PhpArray {
        let Some(uid) = uid.asked() else { return Ok(PhpArray::default()) };
        query(call.properties()?, Query::ClientsOfUid { uid }, values::client_ids)
    }

    fn batchGetClientIdByUid(call, uids: NameList) -> PhpArray {
        let uids = uids.wire();
        query(call.properties()?, Query::ClientsOfUids { uids: uids.clone() }, |answer| {
            let clients = uids.iter().zip(values::items(answer)?);
            values::map(clients.map(|(uid, ids)| Ok((&***uid, values::client_ids(ids?)?.0))))
        })
    }

    fn getUidByClientId(call, client_id: Client) -> Zval {
        query(call.properties()?, Query::UidOfClient { client: client_id.0 }, values::optional_string)
    }

    fn getClientInfo(call, client_id: Client) -> Zval {
        query(call.properties()?, Query::ClientInfo { client: client_id.0 }, values::optional_fields)
    }

    fn getAllClientIdCount(call) -> i64 {
        client_count(call)
    }

    fn getAllClientCount(call) -> i64 {
        client_count(call)
    }

    fn getClientIdCountByGroup(call, group: Name = "") -> i64 {
        group_count(call, &group)
    }

    fn getClientCountByGroup(call, group: Name = "") -> i64 {
        group_count(call, &group)
    }

    fn batchGetClientIdCountByGroup(call, groups: NameList) -> PhpArray {
        let groups = groups.wire();
        query(call.properties()?, Query::ClientCountOfEach { groups: groups.clone() }, |answer| {
            let counts = groups.iter().zip(values::items(answer)?);
            values::map(counts.map(|(group, count)| Ok((&***group, values::long(values::count(count?)?)))))
        })
    }

    fn getAllUidCount(call) -> i64 {
        query(call.properties()?, Query::UidCount { groups: None }, values::count)
    }
}

fn client_count(call: &MethodCall) -> Result<i64, Failure> {
    query(call.properties()?, Query::ClientCount {}, values::count)
}

/// Counts the members of a group, or everybody when the group is ''.
fn group_count(call: &MethodCall, group: &Name) -> Result<i64, Failure> {
    let Some(groups) = group.scope() else { return client_count(call) };
    query(call.properties()?, Query::ClientCountOfEach { groups }, |answer| {
        values::items(answer)?.next().map_or(Ok(0), |count| values::count(count?))
    })
}
