//! Questions.

use gateway_wire::bridge::Query;

use super::method::{Call, methods};
use crate::args::{Client, Name, Naming};
use crate::errors::Failure;
use crate::process::query;
use crate::values;

const NOT_ASKED: &str = "nobody has it";

methods! {
    fn isOnline(call, client_id: Client) -> i64 {
        values::flag(&query(call.settings()?, Query::IsOnline { client: client_id.0 })?)
    }

    fn isUidOnline(call, uid: Name) -> i64 {
        let Some(uid) = uid.filled(Naming::Uid, NOT_ASKED)? else { return Ok(0) };
        values::flag(&query(call.settings()?, Query::IsUidOnline { uid })?)
    }

    fn getClientIdByUid(call, uid: Name) -> Zval {
        let Some(uid) = uid.filled(Naming::Uid, NOT_ASKED)? else { return Ok(Zval::new_array()) };
        values::client_ids(&query(call.settings()?, Query::ClientsOfUid { uid })?)
    }

    fn getUidByClientId(call, client_id: Client) -> Zval {
        values::optional_string(&query(call.settings()?, Query::UidOfClient { client: client_id.0 })?)
    }

    fn getAllClientIdCount(call) -> i64 {
        client_count(call)
    }

    fn getAllClientCount(call) -> i64 {
        client_count(call)
    }
}

fn client_count(call: &Call) -> Result<i64, Failure> {
    values::count(&query(call.settings()?, Query::ClientCount {})?)
}
