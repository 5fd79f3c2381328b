//! Questions about a client, a uid, a count.

use gateway_wire::bridge::Query;

use super::method::{Call, methods};
use crate::args::{Client, Name, NameList};
use crate::errors::Failure;
use crate::process::query;
use crate::values::{self, List};

methods! {
    fn isOnline(call, client_id: Client) -> i64 {
        query(call.settings()?, Query::IsOnline { client: client_id.0 }, values::flag)
    }

    fn isUidOnline(call, uid: Name) -> i64 {
        let Some(uid) = uid.asked() else { return Ok(0) };
        query(call.settings()?, Query::IsUidOnline { uid }, values::flag)
    }

    fn isUidsOnline(call, uids: NameList) -> List {
        let uids = uids.wire();
        query(call.settings()?, Query::AreUidsOnline { uids: uids.clone() }, |answer| {
            let online = uids.iter().zip(values::items(answer)?);
            values::map(online.map(|(uid, is_online)| Ok((&***uid, values::long(values::flag(is_online?)?)))))
        })
    }

    fn getClientIdByUid(call, uid: Name) -> List {
        let Some(uid) = uid.asked() else { return Ok(List::default()) };
        query(call.settings()?, Query::ClientsOfUid { uid }, values::client_ids)
    }

    fn batchGetClientIdByUid(call, uids: NameList) -> List {
        let uids = uids.wire();
        query(call.settings()?, Query::ClientsOfUids { uids: uids.clone() }, |answer| {
            let clients = uids.iter().zip(values::items(answer)?);
            values::map(clients.map(|(uid, ids)| Ok((&***uid, values::client_ids(ids?)?.0))))
        })
    }

    fn getUidByClientId(call, client_id: Client) -> Zval {
        query(call.settings()?, Query::UidOfClient { client: client_id.0 }, values::optional_string)
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

    fn batchGetClientIdCountByGroup(call, groups: NameList) -> List {
        let groups = groups.wire();
        query(call.settings()?, Query::ClientCountOfEach { groups: groups.clone() }, |answer| {
            let counts = groups.iter().zip(values::items(answer)?);
            values::map(counts.map(|(group, count)| Ok((&***group, values::long(values::count(count?)?)))))
        })
    }

    fn getAllUidCount(call) -> i64 {
        query(call.settings()?, Query::UidCount { groups: None }, values::count)
    }
}

fn client_count(call: &Call) -> Result<i64, Failure> {
    query(call.settings()?, Query::ClientCount {}, values::count)
}

/// Of everybody when the group is ''.
fn group_count(call: &Call, group: &Name) -> Result<i64, Failure> {
    let Some(groups) = group.scope() else { return client_count(call) };
    query(call.settings()?, Query::ClientCountOfEach { groups }, |answer| {
        values::items(answer)?.next().map_or(Ok(0), |count| values::count(count?))
    })
}
