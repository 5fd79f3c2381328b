//! Sending and closing.

use gateway_wire::ClientId;
use gateway_wire::bridge::{Order, PhpStr, kind};

use super::method::{MethodCall, methods};
use crate::args::{Binary, Client, ClientOrCurrent, Except, ExceptGroups, Message, Names, Only, SendRaw};
use crate::errors::Failure;
use crate::links::order;

methods! {
    fn sendToAll(
        call,
        message: Message,
        client_id_array: Only = null,
        exclude_client_id: Except = null,
        raw: SendRaw = false,
        exclude_group: ExceptGroups = null,
        binary: Binary = null
    ) {
        let (Only(only), Except(except)) = (client_id_array, exclude_client_id);
        if only.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        let (message, raw, options) = (message.wire(), raw.0, SendOptions::of(&exclude_group, &binary));
        order(call.properties()?, match options {
            None => Order::SendToAll { message, only, except, raw },
            Some(options) => options.order(message, Recipients { only, ..Recipients::default() }, except, raw),
        })
    }

    fn sendToClient(
        call,
        client_id: ClientOrCurrent,
        message: Message,
        raw: SendRaw = false,
        binary: Binary = null
    ) -> bool {
        one(call, client_id.0, &message, &raw, &binary)
    }

    fn sendToUid(
        call,
        uid: Names,
        message: Message,
        raw: SendRaw = false,
        exclude_client_id: Except = null,
        exclude_group: ExceptGroups = null,
        binary: Binary = null
    ) {
        let uids = uid.asked();
        if uids.is_empty() {
            return Ok(());
        }
        let (message, raw, except) = (message.wire(), raw.0, exclude_client_id.0);
        let options = match SendOptions::of(&exclude_group, &binary) {
            None if !except.is_empty() => Some(SendOptions::default()),
            options => options,
        };
        order(call.properties()?, match options {
            None => Order::SendToUids { uids, message, raw },
            Some(options) => {
                options.order(message, Recipients { uids: Some(uids.into_vec()), ..Recipients::default() }, except, raw)
            }
        })
    }

    fn sendToGroup(
        call,
        group: Names,
        message: Message,
        exclude_client_id: Except = null,
        raw: SendRaw = false,
        exclude_group: ExceptGroups = null,
        binary: Binary = null
    ) -> Option<bool> {
        let groups = group.asked();
        if groups.is_empty() {
            return Ok(group.is_empty().then_some(false));
        }
        let (message, raw, except) = (message.wire(), raw.0, exclude_client_id.0);
        order(call.properties()?, match SendOptions::of(&exclude_group, &binary) {
            None => Order::SendToGroups { groups, message, except, raw },
            Some(options) => {
                options.order(message, Recipients { groups: Some(groups.into_vec()), ..Recipients::default() }, except, raw)
            }
        })?;
        Ok(None)
    }

    /// Closes all clients of a uid, or of each of several.
    fn closeUid(call, uid: Names, message: Option<Message> = null) {
        let uids = uid.asked();
        if uids.is_empty() {
            return Ok(());
        }
        order(call.properties()?, Order::CloseUids { uids, last: message.as_ref().map(Message::wire) })
    }

    fn closeClient(call, client_id: Client, message: Option<Message> = null) -> bool {
        let last = message.as_ref().map(Message::wire);
        order(call.properties()?, Order::Close { client: client_id.0, last })?;
        Ok(true)
    }

    /// The spelling of GatewayWorker's class.
    fn destoryClient(call, client_id: Client) -> bool {
        destroy(call, &client_id)
    }

    fn destroyClient(call, client_id: Client) -> bool {
        destroy(call, &client_id)
    }
}

/// Sends to one client.
pub(super) fn one(
    call: &MethodCall,
    client: ClientId,
    message: &Message,
    raw: &SendRaw,
    binary: &Binary,
) -> Result<bool, Failure> {
    let (message, raw) = (message.wire(), raw.0);
    order(
        call.properties()?,
        match SendOptions::of(&ExceptGroups::none(), binary) {
            None => Order::SendToClient { client, message, raw },
            Some(options) => options.order(
                message,
                Recipients { only: Some(vec![client]), ..Recipients::default() },
                Vec::new(),
                raw,
            ),
        },
    )?;
    Ok(true)
}

/// The options that few sends have.
#[derive(Default)]
struct SendOptions<'a> {
    except_groups: Vec<PhpStr<'a>>,
    kind: u8,
}

/// The receivers of a send: everybody, if no field is set.
#[derive(Default)]
struct Recipients<'a> {
    only: Option<Vec<ClientId>>,
    uids: Option<Vec<PhpStr<'a>>>,
    groups: Option<Vec<PhpStr<'a>>>,
}

impl<'a> SendOptions<'a> {
    /// Gives `None` when there are none, so that one of the usual orders will do.
    fn of(except_groups: &'a ExceptGroups, binary: &Binary) -> Option<Self> {
        let options = Self { except_groups: except_groups.wire(), kind: binary.kind() };
        (!options.except_groups.is_empty() || options.kind != kind::USUAL).then_some(options)
    }

    fn order(self, message: PhpStr<'a>, to: Recipients<'a>, except: Vec<ClientId>, raw: bool) -> Order<'a> {
        let Self { except_groups, kind } = self;
        let Recipients { only, uids, groups } = to;
        Order::Send { message, only, uids, groups, except, except_groups, raw, kind }
    }
}

/// Closes at once: messages that are queued for the client are dropped.
fn destroy(call: &MethodCall, client: &Client) -> Result<bool, Failure> {
    order(call.properties()?, Order::Destroy { client: client.0 })?;
    Ok(true)
}
