//! The operations that say what has become of a message: how many clients have taken it, or what their pages answer.

use std::time::Duration;

use gateway_wire::ClientId;
use gateway_wire::bridge::{Order, Query};
use hyper::StatusCode;

use super::action::Action;
use super::arguments::{Arguments, LONGEST_WAIT};
use crate::admin::answer::Refusal;

/// The time for the answers of pages, if the request names none.
const USUAL_WAIT: Duration = Duration::from_secs(3);
const _: () = assert!(USUAL_WAIT.as_secs() <= LONGEST_WAIT.as_secs());

pub(super) fn to_uids(arguments: &Arguments) -> Result<Action<'_>, Refusal> {
    let id = random()?;
    let order = Order::SendTracked {
        id,
        message: arguments.text("message")?,
        client: None,
        uids: Some(arguments.list("uid")),
        groups: None,
        except: Vec::new(),
        asks: false,
    };
    Ok(Action::Tracked(order, Query::Delivered { id }))
}

pub(super) fn to_groups(arguments: &Arguments) -> Result<Action<'_>, Refusal> {
    let id = random()?;
    let order = Order::SendTracked {
        id,
        message: arguments.text("message")?,
        client: None,
        uids: None,
        groups: Some(arguments.list("group")),
        except: arguments.clients("exclude_client_id").unwrap_or_default().to_vec(),
        asks: false,
    };
    Ok(Action::Tracked(order, Query::Delivered { id }))
}

/// Asks the page of one client, or all pages of a uid. Twenty hex digits are a client id.
pub(super) fn ask(arguments: &Arguments) -> Result<Action<'_>, Refusal> {
    let id = random()?;
    let name = arguments.text("client_id_or_uid")?;
    let client = ClientId::from_hex(name).ok();
    let order = Order::SendTracked {
        id,
        message: arguments.text("message")?,
        client,
        uids: client.is_none().then(|| vec![name]),
        groups: None,
        except: Vec::new(),
        asks: true,
    };
    let wait = arguments.time("timeout").unwrap_or(USUAL_WAIT);
    let wait = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
    Ok(Action::Tracked(order, Query::Replies { id, wait }))
}

/// Makes the number by which a message is known.
fn random() -> Result<u64, Refusal> {
    getrandom::u64().map_err(|error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("no random numbers: {error}"))
    })
}
