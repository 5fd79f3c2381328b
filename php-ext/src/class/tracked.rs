//! Messages of which the program is told what has become of them.

use std::time::Duration;

use gateway_wire::ClientId;
use gateway_wire::bridge::{Order, PhpStr, Query};

use super::method::{MethodCall, methods};
use super::random;
use crate::args::{Except, Message, Name, Names, Timeout};
use crate::errors::Failure;
use crate::links::{order, query, query_longer};
use crate::values::{self, PhpArray};

methods! {
    fn sendToUidCounted(call, uid: Names, message: Message) -> PhpArray {
        let uids = uid.asked().into_vec();
        counted(call, &message, Receivers { uids: Some(uids), ..Receivers::default() })
    }

    fn sendToGroupCounted(call, group: Names, message: Message, exclude_client_id: Except = null) -> PhpArray {
        let groups = group.asked().into_vec();
        let except = exclude_client_id.0;
        counted(call, &message, Receivers { groups: Some(groups), except, ..Receivers::default() })
    }

    /// Asks the page of one client, or all pages of a uid. Twenty hex digits are a client_id.
    fn ask(call, client_id_or_uid: Name, message: Message, timeout: Timeout = null) -> PhpArray {
        let wait = within(timeout.0, call.properties()?.timeout()?)?;
        let Some(name) = client_id_or_uid.asked() else { return Ok(PhpArray::default()) };
        let to = match ClientId::from_hex(name) {
            Ok(client) => Receivers { client: Some(client), ..Receivers::default() },
            Err(_) => Receivers { uids: Some(vec![name]), ..Receivers::default() },
        };
        let id = random::number()?;
        order(call.properties()?, to.order(id, message.wire(), true))?;
        let replies = Query::Replies { id, wait: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX) };
        query_longer(call.properties()?, wait, replies, |answer| {
            values::map(values::entries(answer)?.map(|entry| {
                let (client, reply) = entry?;
                Ok((values::client_id(client)?.to_hex(), values::optional_string(reply)?))
            }))
        })
    }
}

/// Whom a message goes to. One field is set, besides those who are left out.
#[derive(Default)]
struct Receivers<'a> {
    client: Option<ClientId>,
    uids: Option<Vec<PhpStr<'a>>>,
    groups: Option<Vec<PhpStr<'a>>>,
    except: Vec<ClientId>,
}

impl<'a> Receivers<'a> {
    fn order(self, id: u64, message: PhpStr<'a>, asks: bool) -> Order<'a> {
        let Self { client, uids, groups, except } = self;
        Order::SendTracked { id, message, client, uids, groups, except, asks }
    }
}

/// Sends a message, and gives how many clients have taken it.
fn counted(call: &MethodCall, message: &Message, to: Receivers) -> Result<PhpArray, Failure> {
    let id = random::number()?;
    order(call.properties()?, to.order(id, message.wire(), false))?;
    query(call.properties()?, Query::Delivered { id }, values::fields)
}

/// How long pages may take to answer: as long as the program says, which is as long at most as the gateway itself may take.
fn within(given: Option<f64>, most: Duration) -> Result<Duration, Failure> {
    let Some(seconds) = given else { return Ok(most) };
    let wait = Duration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_zero() && *wait <= most);
    wait.ok_or_else(|| {
        let most = most.as_secs_f64();
        Failure::argument(format!(
            "the time for answers must be above 0 and at most Gateway::$connectTimeout, which is {most} seconds"
        ))
    })
}
