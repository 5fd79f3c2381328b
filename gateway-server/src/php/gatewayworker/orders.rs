//! GatewayWorker's commands that send or change something, translated to the bridge's orders.

use std::net::SocketAddrV4;

use gateway_wire::ClientId;
use gateway_wire::bridge::{Names, Order};
use gateway_wire::gatewayworker::Command;
use serde_bytes::Bytes;

/// Translates a command to an order. Gives `None` for a query. The connection numbers in a command are those of `node`.
pub(super) fn order<'a>(command: &'a Command<'a>, node: SocketAddrV4) -> Option<Order<'a>> {
    let id = |connection: u32| ClientId::new(node, connection);
    let ids = |connections: &[u32]| connections.iter().map(|connection| id(*connection)).collect::<Vec<_>>();
    Some(match command {
        Command::SendToOne { connection, message, raw } => {
            Order::SendToClient { client: id(*connection), message: Bytes::new(message), raw: *raw }
        }
        Command::SendToAll { message, only, except, raw } => Order::SendToAll {
            message: Bytes::new(message),
            only: only.as_deref().map(ids),
            except: ids(except),
            raw: *raw,
        },
        Command::SendToUids { uids, message, raw } => {
            Order::SendToUids { uids: names(uids), message: Bytes::new(message), raw: *raw }
        }
        Command::SendToGroups { groups, message, except, raw } => Order::SendToGroups {
            groups: names(groups),
            message: Bytes::new(message),
            except: ids(except),
            raw: *raw,
        },
        Command::Kick { connection, last } => {
            Order::Close { client: id(*connection), last: last.map(Bytes::new) }
        }
        Command::Destroy { connection } => Order::Destroy { client: id(*connection) },
        Command::BindUid { connection, uid } => Order::BindUid { client: id(*connection), uid: name(uid) },
        Command::UnbindUid { connection } => Order::UnbindUid { client: id(*connection) },
        Command::JoinGroup { connection, group } => {
            Order::JoinGroup { client: id(*connection), group: name(group) }
        }
        Command::LeaveGroup { connection, group } => {
            Order::LeaveGroup { client: id(*connection), group: name(group) }
        }
        Command::Ungroup { group } => Order::Ungroup { group: name(group) },
        Command::SetSession { connection, session } => {
            Order::SetSession { client: id(*connection), session: Bytes::new(session) }
        }
        Command::UpdateSession { connection, changes } => {
            Order::UpdateSession { client: id(*connection), changes: Bytes::new(changes) }
        }
        _ => return None,
    })
}

/// GatewayWorker's PHP tests names with `empty()`, so the name "0" counts as no name.
fn name(name: &[u8]) -> &Bytes {
    Bytes::new(if name == b"0" { b"" } else { name })
}

fn names(names: &[String]) -> Names<'_> {
    names.iter().map(|name| Bytes::new(name.as_bytes())).collect()
}
