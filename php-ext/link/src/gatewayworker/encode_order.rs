//! Translates orders into GatewayWorker's commands, and says which gateway gets which.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

use gateway_wire::bridge::{Order, PhpStr};
use gateway_wire::gatewayworker::Command;
use gateway_wire::{ClientId, excerpt};

pub(super) enum OrderCommands<'a> {
    /// The command goes to the gateway that holds the client.
    One(SocketAddrV4, Command<'a>),
    /// The commands go to these gateways, and to no others.
    Each(BTreeMap<SocketAddrV4, Command<'a>>),
    /// The command goes to every gateway, except that some get one of their own.
    All(Command<'a>, BTreeMap<SocketAddrV4, Command<'a>>),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsupported {
    #[error("GatewayWorker's protocol carries names only as UTF-8, which {0:?} is not")]
    NotText(String),
    #[error(
        "GatewayWorker's gateways cannot leave out groups, or clients of a uid, choose text or binary for a message, or close all \
         clients of a uid; gateway-server can"
    )]
    Options,
    #[error(
        "GatewayWorker's gateways cannot say what has become of a message, or ask pages; gateway-server can"
    )]
    Tracked,
    #[error("GatewayWorker's gateways keep no messages for users who are not there; gateway-server can")]
    Inbox,
    #[error("a GatewayWorker server gives its clients no proof of who they are")]
    Proof,
    #[error("a GatewayWorker register has no nodes that a worker of gateway-server could join")]
    Nodes,
}

pub(super) fn commands_for<'a>(order: &Order<'a>) -> Result<OrderCommands<'a>, Unsupported> {
    Ok(match order {
        Order::SendToAll { message, only: None, except, raw } => {
            let command = |except| Command::SendToAll { message, only: None, except, raw: *raw };
            let special = by_gateway(except.iter()).map(|(node, except)| (node, command(except))).collect();
            OrderCommands::All(command(Vec::new()), special)
        }
        Order::SendToAll { message, only: Some(only), except, raw } => {
            let except: BTreeSet<&ClientId> = except.iter().collect();
            // A gateway would send once for each time that a client is listed.
            let only: BTreeSet<&ClientId> = only.iter().filter(|client| !except.contains(client)).collect();
            let only = by_gateway(only.into_iter());
            let command =
                |only| Command::SendToAll { message, only: Some(only), except: Vec::new(), raw: *raw };
            OrderCommands::Each(only.map(|(node, only)| (node, command(only))).collect())
        }
        Order::SendToUids { uids, message, raw } => OrderCommands::All(
            Command::SendToUids { uids: texts(uids)?, message, raw: *raw },
            BTreeMap::new(),
        ),
        Order::SendToGroups { groups, message, except, raw } => {
            let groups = texts(groups)?;
            let command =
                |except| Command::SendToGroups { groups: groups.clone(), message, except, raw: *raw };
            let special = by_gateway(except.iter()).map(|(node, except)| (node, command(except))).collect();
            OrderCommands::All(command(Vec::new()), special)
        }
        Order::Ungroup { group } => OrderCommands::All(Command::Ungroup { group }, BTreeMap::new()),
        Order::SendToClient { client, message, raw } => {
            one(*client, |connection| Command::SendToOne { connection, message, raw: *raw })
        }
        Order::Close { client, last } => {
            one(*client, |connection| Command::Kick { connection, last: last.map(|last| &**last) })
        }
        Order::Destroy { client } => one(*client, |connection| Command::Destroy { connection }),
        Order::BindUid { client, uid } => one(*client, |connection| Command::BindUid { connection, uid }),
        Order::UnbindUid { client } => one(*client, |connection| Command::UnbindUid { connection }),
        Order::JoinGroup { client, group } => {
            one(*client, |connection| Command::JoinGroup { connection, group })
        }
        Order::LeaveGroup { client, group } => {
            one(*client, |connection| Command::LeaveGroup { connection, group })
        }
        Order::SetSession { client, session } => {
            one(*client, |connection| Command::SetSession { connection, session })
        }
        Order::UpdateSession { client, changes } => {
            one(*client, |connection| Command::UpdateSession { connection, changes })
        }
        Order::Send { .. } | Order::CloseUids { .. } => return Err(Unsupported::Options),
        Order::SendTracked { .. } => return Err(Unsupported::Tracked),
        Order::Deliver { .. } | Order::Forget { .. } => return Err(Unsupported::Inbox),
        Order::Never(never, _) => match *never {},
    })
}

/// Gives names as JSON carries them.
pub(super) fn texts(names: &[PhpStr]) -> Result<Vec<String>, Unsupported> {
    names.iter().map(|name| text(name)).collect()
}

fn text(name: &[u8]) -> Result<String, Unsupported> {
    std::str::from_utf8(name).map(str::to_owned).map_err(|_| Unsupported::NotText(excerpt(name)))
}

fn one<'a>(client: ClientId, command: impl FnOnce(u32) -> Command<'a>) -> OrderCommands<'a> {
    OrderCommands::One(client.node, command(client.connection))
}

fn by_gateway<'a>(
    clients: impl Iterator<Item = &'a ClientId>,
) -> impl Iterator<Item = (SocketAddrV4, Vec<u32>)> {
    let mut gateways: BTreeMap<SocketAddrV4, Vec<u32>> = BTreeMap::new();
    for client in clients {
        gateways.entry(client.node).or_default().push(client.connection);
    }
    gateways.into_iter()
}
