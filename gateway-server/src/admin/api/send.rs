//! The operations that send. They use the plain orders, and the order with options when an option is given.

use gateway_wire::ClientId;
use gateway_wire::bridge::delivery::DEFAULT_TTL;
use gateway_wire::bridge::{Order, PhpStr, kind};

use super::arguments::Arguments;
use crate::admin::answer::Refusal;

pub(super) fn to_all(arguments: &Arguments) -> Result<Order<'_>, Refusal> {
    let Send { message, except, raw, options } = Send::read(arguments)?;
    let only = arguments.clients("client_id_array").map(<[_]>::to_vec);
    Ok(match options {
        None => Order::SendToAll { message, only, except, raw },
        Some(Options { except_groups, kind }) => {
            Order::Send { message, only, uids: None, groups: None, except, except_groups, raw, kind }
        }
    })
}

pub(super) fn to_client(arguments: &Arguments) -> Result<Order<'_>, Refusal> {
    let client = arguments.client("client_id")?;
    let Send { message, except, raw, options } = Send::read(arguments)?;
    Ok(match options {
        None => Order::SendToClient { client, message, raw },
        Some(Options { except_groups, kind }) => {
            let only = Some(vec![client]);
            Order::Send { message, only, uids: None, groups: None, except, except_groups, raw, kind }
        }
    })
}

pub(super) fn to_uids(arguments: &Arguments) -> Result<Order<'_>, Refusal> {
    let Send { message, except, raw, options } = Send::read(arguments)?;
    Ok(match options {
        None if except.is_empty() => Order::SendToUids { uids: arguments.names("uid"), message, raw },
        options => {
            let Options { except_groups, kind } = options.unwrap_or_default();
            let uids = Some(arguments.list("uid"));
            Order::Send { message, only: None, uids, groups: None, except, except_groups, raw, kind }
        }
    })
}

pub(super) fn to_groups(arguments: &Arguments) -> Result<Order<'_>, Refusal> {
    let Send { message, except, raw, options } = Send::read(arguments)?;
    Ok(match options {
        None => Order::SendToGroups { groups: arguments.names("group"), message, except, raw },
        Some(Options { except_groups, kind }) => {
            let groups = Some(arguments.list("group"));
            Order::Send { message, only: None, uids: None, groups, except, except_groups, raw, kind }
        }
    })
}

/// Keeps a message for who is not there.
pub(super) fn to_inbox(arguments: &Arguments) -> Result<Order<'_>, Refusal> {
    Ok(Order::Deliver {
        uid: arguments.text("uid")?,
        id: arguments.text("id")?,
        message: arguments.text("message")?,
        ttl: arguments.count("ttl").unwrap_or(DEFAULT_TTL),
        replace: arguments.optional_text("replace"),
        for_new_devices: arguments.optional_text("new_device").is_some_and(|which| **which == *b"all"),
        kind: kind_of(arguments),
    })
}

/// The arguments that all of them have in common.
struct Send<'a> {
    message: PhpStr<'a>,
    except: Vec<ClientId>,
    raw: bool,
    options: Option<Options<'a>>,
}

/// The options that the plain orders do not have.
#[derive(Default)]
struct Options<'a> {
    except_groups: Vec<PhpStr<'a>>,
    kind: u8,
}

impl<'a> Send<'a> {
    fn read(arguments: &'a Arguments) -> Result<Self, Refusal> {
        let except_groups = arguments.list("exclude_group");
        let kind = kind_of(arguments);
        let has_options = !except_groups.is_empty() || kind != kind::USUAL;
        Ok(Self {
            message: arguments.text("message")?,
            except: arguments.clients("exclude_client_id").unwrap_or_default().to_vec(),
            raw: arguments.flag("raw"),
            options: has_options.then_some(Options { except_groups, kind }),
        })
    }
}

fn kind_of(arguments: &Arguments) -> u8 {
    match arguments.flag_or_unset("binary") {
        None => kind::USUAL,
        Some(false) => kind::TEXT,
        Some(true) => kind::BINARY,
    }
}
