//! The commands of GatewayWorker's protocol: what PHP asks of a gateway, from packets and to packets.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::command_json::{names, some_names, some_values, values};
use super::packet::{Packet, PacketError, flag};
use crate::excerpt;
use crate::php_serialize::{self, NotJson};

/// A command with what its packet carries. A `connection` is the last 32 bits of the client id of a client of the gateway that gets the
/// command. The numbers and names of the protocol stand in `CMD_…` constants of GatewayWorker's `GatewayProtocol`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Says that the sender is a process that handles events. If there is a secret, this or [`Command::ClientConnect`] comes first.
    WorkerConnect {
        /// The worker's name and number, as `name:number`: different for each worker of a machine.
        worker_key: String,
        /// The secret that the gateway checks; empty when none is set.
        secret_key: String,
    },
    /// Says that the sender is a process that only gives orders. If there is a secret, this or [`Command::WorkerConnect`] comes first.
    ClientConnect {
        /// The secret that the gateway checks; empty when none is set.
        secret_key: String,
    },
    /// Keeps the connection alive. It is not answered.
    Ping,

    /// Sends a message to one client.
    SendToOne {
        /// The client that gets it.
        connection: u32,
        /// The message: any bytes.
        message: &'a [u8],
        /// Whether the message goes to the socket as it is, without the client protocol's framing.
        raw: bool,
    },
    /// Sends a message to all clients, or to some of them.
    SendToAll {
        /// The message: any bytes.
        message: &'a [u8],
        /// The only clients that get it; `None` is all clients.
        only: Option<Vec<u32>>,
        /// Clients that do not get it. [`Command::encode`] leaves them out of a packet that has `only`.
        except: Vec<u32>,
        /// Whether the message goes to the sockets as it is, without the client protocol's framing.
        raw: bool,
    },
    /// Sends a message to all clients of some uids.
    SendToUids {
        /// The uids whose clients get it.
        uids: Vec<String>,
        /// The message: any bytes.
        message: &'a [u8],
        /// Whether the message goes to the sockets as it is, without the client protocol's framing.
        raw: bool,
    },
    /// Sends a message to the members of some groups. A client in two of them gets it twice.
    SendToGroups {
        /// The groups whose members get it.
        groups: Vec<String>,
        /// The message: any bytes.
        message: &'a [u8],
        /// Members that do not get it.
        except: Vec<u32>,
        /// Whether the message goes to the sockets as it is, without the client protocol's framing.
        raw: bool,
    },
    /// Closes a client's connection after everything queued for it, and then `last`, have gone out.
    Kick {
        /// The client whose connection closes.
        connection: u32,
        /// The last message to the client, if there is one.
        last: Option<&'a [u8]>,
    },
    /// Closes a client's connection at once; nothing that is queued for it goes out.
    Destroy {
        /// The client whose connection closes.
        connection: u32,
    },
    /// Binds a client to a uid, in place of the one that it may have had.
    BindUid {
        /// The client to bind.
        connection: u32,
        /// The uid.
        uid: &'a [u8],
    },
    /// Takes a client's uid away. GatewayWorker's packet names the uid too, which does not matter.
    UnbindUid {
        /// The client that loses its uid.
        connection: u32,
    },
    /// Makes a client a member of a group.
    JoinGroup {
        /// The client that joins.
        connection: u32,
        /// The group.
        group: &'a [u8],
    },
    /// Ends a client's membership in a group.
    LeaveGroup {
        /// The client that leaves.
        connection: u32,
        /// The group that it leaves.
        group: &'a [u8],
    },
    /// Has all members leave a group.
    Ungroup {
        /// The group that is empty afterwards.
        group: &'a [u8],
    },
    /// Replaces a client's session.
    SetSession {
        /// The client whose session it is.
        connection: u32,
        /// A PHP array as `serialize()` writes it; no bytes are no session.
        session: &'a [u8],
    },
    /// Merges changes into a client's session as `array_replace_recursive(session, changes)` does.
    UpdateSession {
        /// The client whose session it is.
        connection: u32,
        /// A PHP array as `serialize()` writes it.
        changes: &'a [u8],
    },

    /// Asks for a client's session. The reply is an array, which is empty when the client has no session, or null when it is not
    /// connected.
    GetSession {
        /// The client whose session is asked for.
        connection: u32,
    },
    /// Asks for the sessions of all clients. The reply is `[connection => session]`, each session a string as `serialize()` writes it.
    GetSessions,
    /// Asks for the sessions of a group's members. The reply is as for [`Command::GetSessions`].
    GetSessionsByGroup {
        /// The group whose members are asked for.
        group: &'a [u8],
    },
    /// Asks whether a client is connected. The reply is 0 or 1.
    IsOnline {
        /// The client that is asked about.
        connection: u32,
    },
    /// Asks for the clients of a uid. The reply is a list of connections.
    GetClientsByUid {
        /// The uid whose clients are asked for.
        uid: &'a [u8],
    },
    /// Asks for the clients of each uid. The reply is `[uid => connections]`.
    GetClientsByUids {
        /// The uids whose clients are asked for.
        uids: Vec<String>,
    },
    /// Asks for a number of clients. The reply is an int.
    GetClientCount {
        /// The group whose members are counted; `None`, an empty name in the packet, counts all clients.
        group: Option<&'a [u8]>,
    },
    /// Asks for the number of members of each group. The reply is `[group => int]`.
    GetClientCounts {
        /// The groups whose members are counted.
        groups: Vec<String>,
    },
    /// Asks for fields of clients. The reply is `[connection => [field => value]]`.
    Select(FieldSelector),
    /// Asks for the names of all groups. The reply is a list.
    GetGroups,
}

/// The question of [`Command::Select`], as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSelector {
    /// The names of the fields that are asked for: [`FieldSelector::SESSION`], [`FieldSelector::UID`] and [`FieldSelector::GROUPS`]. The
    /// value of any other field is null.
    #[serde(deserialize_with = "names")]
    pub fields: Vec<String>,
    /// The clients that are asked about.
    #[serde(rename = "where")]
    pub of: ClientSelector,
}

/// Selects the clients for which one of these conditions holds. Without any condition it selects all clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "EmptyList")]
pub struct ClientSelector {
    /// The client is a member of one of these groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// The client is bound to one of these uids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Vec<String>>,
    /// The client has one of these connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<Vec<u32>>,
}

/// A [`ClientSelector`] as it stands in JSON, where an empty array of PHP is a list and any other one an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum EmptyList {
    Empty([(); 0]),
    Null(()),
    Fields(SelectorFields),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SelectorFields {
    #[serde(default, deserialize_with = "some_names")]
    groups: Option<Vec<String>>,
    #[serde(default, deserialize_with = "some_names")]
    uid: Option<Vec<String>>,
    #[serde(default, deserialize_with = "some_values")]
    connection_id: Option<Vec<u32>>,
}

/// Why a packet is no command. Each error has the number of the packet's command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No command that a gateway takes has this number.
    #[error("there is no command with number {0}")]
    Unknown(u8),
    /// The extension data is not the JSON that the command needs.
    #[error("the extension data of command {command} is not the JSON expected ({reason}): {text:?}")]
    Json {
        /// The number of the command.
        command: u8,
        /// The start of the extension data.
        text: String,
        /// The reason that the JSON parser gives.
        reason: String,
    },
    /// The body is not JSON with a secret. It is not quoted, because it may hold the secret all the same.
    #[error("the body of command {0}, its credentials, is not the JSON expected")]
    Credentials(u8),
    /// The message is a value as `serialize()` writes it; only [`array_as_json`] makes bytes of one.
    #[error("the message of command {0} is no scalar: send a string")]
    NotScalar(u8),
    /// The message is a value as `serialize()` writes it, of which [`array_as_json`] can make no JSON.
    #[error("the message of command {command} is no scalar and cannot be made JSON: {reason}")]
    NotJson {
        /// The number of the command.
        command: u8,
        /// Why there is no JSON of the message.
        reason: NotJson,
    },
}

impl CommandError {
    /// Tells whether the command is a query, so that its sender waits for a reply.
    pub fn is_of_query(&self) -> bool {
        const QUERIES_WITH_JSON: [u8; 3] =
            [number::BATCH_GET_CLIENT_ID_BY_UID, number::BATCH_GET_CLIENT_COUNT_BY_GROUP, number::SELECT];
        matches!(self, Self::Json { command, .. } if QUERIES_WITH_JSON.contains(command))
    }
}

impl FieldSelector {
    /// The field for a client's session: a string as `serialize()` writes it, which is empty when the client has no session.
    pub const SESSION: &'static str = "session";
    /// The field for a client's uid: a string, or null when the client is not bound.
    pub const UID: &'static str = "uid";
    /// The field for a client's groups: `[group => group]`, or null when the client is in none.
    pub const GROUPS: &'static str = "groups";
}

impl ClientSelector {
    /// Tells whether the selector has no condition, and so selects all clients.
    pub fn is_everybody(&self) -> bool {
        *self == Self::default()
    }
}

impl From<EmptyList> for ClientSelector {
    fn from(list: EmptyList) -> Self {
        match list {
            EmptyList::Empty([]) | EmptyList::Null(()) => Self::default(),
            EmptyList::Fields(SelectorFields { groups, uid, connection_id }) => {
                Self { groups, uid, connection_id }
            }
        }
    }
}

/// The numbers of the commands, under the names that they have in GatewayWorker's `GatewayProtocol`.
mod number {
    pub(super) const SEND_TO_ONE: u8 = 5;
    pub(super) const SEND_TO_ALL: u8 = 6;
    pub(super) const KICK: u8 = 7;
    pub(super) const DESTROY: u8 = 8;
    pub(super) const UPDATE_SESSION: u8 = 9;
    pub(super) const GET_ALL_CLIENT_SESSIONS: u8 = 10;
    pub(super) const IS_ONLINE: u8 = 11;
    pub(super) const BIND_UID: u8 = 12;
    pub(super) const UNBIND_UID: u8 = 13;
    pub(super) const SEND_TO_UID: u8 = 14;
    pub(super) const GET_CLIENT_ID_BY_UID: u8 = 15;
    pub(super) const BATCH_GET_CLIENT_ID_BY_UID: u8 = 16;
    pub(super) const JOIN_GROUP: u8 = 20;
    pub(super) const LEAVE_GROUP: u8 = 21;
    pub(super) const SEND_TO_GROUP: u8 = 22;
    pub(super) const GET_CLIENT_SESSIONS_BY_GROUP: u8 = 23;
    pub(super) const GET_CLIENT_COUNT_BY_GROUP: u8 = 24;
    pub(super) const SELECT: u8 = 25;
    pub(super) const GET_GROUP_ID_LIST: u8 = 26;
    pub(super) const UNGROUP: u8 = 27;
    pub(super) const BATCH_GET_CLIENT_COUNT_BY_GROUP: u8 = 28;
    pub(super) const WORKER_CONNECT: u8 = 200;
    pub(super) const PING: u8 = 201;
    pub(super) const GATEWAY_CLIENT_CONNECT: u8 = 202;
    pub(super) const GET_SESSION_BY_CLIENT_ID: u8 = 203;
    pub(super) const SET_SESSION: u8 = 204;
}

#[derive(Deserialize)]
struct WorkerCredentials {
    worker_key: String,
    secret_key: String,
}

#[derive(Deserialize)]
struct Credentials {
    secret_key: String,
}

/// The extension data of SEND_TO_ALL.
#[derive(Default, Deserialize)]
struct Audience {
    #[serde(default, deserialize_with = "some_values")]
    connections: Option<Vec<u32>>,
    #[serde(default, deserialize_with = "values")]
    exclude: Vec<u32>,
}

/// The extension data of SEND_TO_GROUP.
#[derive(Deserialize)]
struct Groups {
    #[serde(deserialize_with = "names")]
    group: Vec<String>,
    #[serde(default, deserialize_with = "values")]
    exclude: Vec<u32>,
}

#[derive(Deserialize)]
struct NameList(#[serde(deserialize_with = "names")] Vec<String>);

impl<'a> Command<'a> {
    /// Reads a command from a packet. It does not check secrets, nor whether names are empty or too long.
    pub fn from_packet(packet: &Packet<'a>) -> Result<Self, CommandError> {
        let &Packet { command, connection, extension, .. } = packet;
        let raw = packet.is_raw();
        Ok(match command {
            number::WORKER_CONNECT => {
                let WorkerCredentials { worker_key, secret_key } = credentials(packet)?;
                Self::WorkerConnect { worker_key, secret_key }
            }
            number::GATEWAY_CLIENT_CONNECT => {
                let Credentials { secret_key } = credentials(packet)?;
                Self::ClientConnect { secret_key }
            }
            number::PING => Self::Ping,
            number::SEND_TO_ONE => Self::SendToOne { connection, message: message(packet)?, raw },
            number::SEND_TO_ALL => {
                let Audience { connections, exclude } =
                    if extension.is_empty() { Audience::default() } else { json(packet)? };
                Self::SendToAll { message: message(packet)?, only: connections, except: exclude, raw }
            }
            number::SEND_TO_UID => {
                let NameList(uids) = json(packet)?;
                Self::SendToUids { uids, message: message(packet)?, raw }
            }
            number::SEND_TO_GROUP => {
                let Groups { group, exclude } = json(packet)?;
                Self::SendToGroups { groups: group, message: message(packet)?, except: exclude, raw }
            }
            number::KICK => {
                Self::Kick { connection, last: if is_null(packet) { None } else { Some(message(packet)?) } }
            }
            number::DESTROY => Self::Destroy { connection },
            number::BIND_UID => Self::BindUid { connection, uid: extension },
            number::UNBIND_UID => Self::UnbindUid { connection },
            number::JOIN_GROUP => Self::JoinGroup { connection, group: extension },
            number::LEAVE_GROUP => Self::LeaveGroup { connection, group: extension },
            number::UNGROUP => Self::Ungroup { group: extension },
            number::SET_SESSION => Self::SetSession { connection, session: extension },
            number::UPDATE_SESSION => Self::UpdateSession { connection, changes: extension },
            number::GET_SESSION_BY_CLIENT_ID => Self::GetSession { connection },
            number::GET_ALL_CLIENT_SESSIONS => Self::GetSessions,
            number::GET_CLIENT_SESSIONS_BY_GROUP => Self::GetSessionsByGroup { group: extension },
            number::IS_ONLINE => Self::IsOnline { connection },
            number::GET_CLIENT_ID_BY_UID => Self::GetClientsByUid { uid: extension },
            number::BATCH_GET_CLIENT_ID_BY_UID => {
                let NameList(uids) = json(packet)?;
                Self::GetClientsByUids { uids }
            }
            number::GET_CLIENT_COUNT_BY_GROUP => {
                Self::GetClientCount { group: (!extension.is_empty()).then_some(extension) }
            }
            number::BATCH_GET_CLIENT_COUNT_BY_GROUP => {
                let NameList(groups) = json(packet)?;
                Self::GetClientCounts { groups }
            }
            number::SELECT => Self::Select(json(packet)?),
            number::GET_GROUP_ID_LIST => Self::GetGroups,
            other => return Err(CommandError::Unknown(other)),
        })
    }

    /// Tells whether the gateway replies to the command.
    pub fn is_query(&self) -> bool {
        matches!(
            self,
            Self::GetSession { .. }
                | Self::GetSessions
                | Self::GetSessionsByGroup { .. }
                | Self::IsOnline { .. }
                | Self::GetClientsByUid { .. }
                | Self::GetClientsByUids { .. }
                | Self::GetClientCount { .. }
                | Self::GetClientCounts { .. }
                | Self::Select(_)
                | Self::GetGroups
        )
    }

    /// Appends the command's packet. Over [`MAX_PACKET`](super::MAX_PACKET) bytes it is an error, and `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), PacketError> {
        let mut packet = Packet::new(self.number());
        let extension = self.json_extension();
        packet.extension = extension.as_deref().unwrap_or_default();
        let body;
        match self {
            Self::WorkerConnect { .. } | Self::ClientConnect { .. } => {
                body = self.credentials();
                packet.body = &body;
            }
            Self::SendToOne { message, raw, .. }
            | Self::SendToAll { message, raw, .. }
            | Self::SendToUids { message, raw, .. }
            | Self::SendToGroups { message, raw, .. } => {
                packet.body = message;
                packet.flags |= if *raw { flag::RAW } else { 0 };
            }
            Self::Kick { last: Some(last), .. } => packet.body = last,
            Self::Kick { last: None, .. } => {
                packet.body = NULL;
                packet.flags = 0;
            }
            Self::BindUid { uid: bytes, .. }
            | Self::JoinGroup { group: bytes, .. }
            | Self::LeaveGroup { group: bytes, .. }
            | Self::Ungroup { group: bytes }
            | Self::SetSession { session: bytes, .. }
            | Self::UpdateSession { changes: bytes, .. }
            | Self::GetSessionsByGroup { group: bytes }
            | Self::GetClientsByUid { uid: bytes }
            | Self::GetClientCount { group: Some(bytes) } => packet.extension = bytes,
            _ => {}
        }
        packet.connection = self.connection();
        packet.encode(out)
    }

    fn number(&self) -> u8 {
        match self {
            Self::WorkerConnect { .. } => number::WORKER_CONNECT,
            Self::ClientConnect { .. } => number::GATEWAY_CLIENT_CONNECT,
            Self::Ping => number::PING,
            Self::SendToOne { .. } => number::SEND_TO_ONE,
            Self::SendToAll { .. } => number::SEND_TO_ALL,
            Self::SendToUids { .. } => number::SEND_TO_UID,
            Self::SendToGroups { .. } => number::SEND_TO_GROUP,
            Self::Kick { .. } => number::KICK,
            Self::Destroy { .. } => number::DESTROY,
            Self::BindUid { .. } => number::BIND_UID,
            Self::UnbindUid { .. } => number::UNBIND_UID,
            Self::JoinGroup { .. } => number::JOIN_GROUP,
            Self::LeaveGroup { .. } => number::LEAVE_GROUP,
            Self::Ungroup { .. } => number::UNGROUP,
            Self::SetSession { .. } => number::SET_SESSION,
            Self::UpdateSession { .. } => number::UPDATE_SESSION,
            Self::GetSession { .. } => number::GET_SESSION_BY_CLIENT_ID,
            Self::GetSessions => number::GET_ALL_CLIENT_SESSIONS,
            Self::GetSessionsByGroup { .. } => number::GET_CLIENT_SESSIONS_BY_GROUP,
            Self::IsOnline { .. } => number::IS_ONLINE,
            Self::GetClientsByUid { .. } => number::GET_CLIENT_ID_BY_UID,
            Self::GetClientsByUids { .. } => number::BATCH_GET_CLIENT_ID_BY_UID,
            Self::GetClientCount { .. } => number::GET_CLIENT_COUNT_BY_GROUP,
            Self::GetClientCounts { .. } => number::BATCH_GET_CLIENT_COUNT_BY_GROUP,
            Self::Select(_) => number::SELECT,
            Self::GetGroups => number::GET_GROUP_ID_LIST,
        }
    }

    fn connection(&self) -> u32 {
        match self {
            Self::SendToOne { connection, .. }
            | Self::Kick { connection, .. }
            | Self::Destroy { connection }
            | Self::BindUid { connection, .. }
            | Self::UnbindUid { connection }
            | Self::JoinGroup { connection, .. }
            | Self::LeaveGroup { connection, .. }
            | Self::SetSession { connection, .. }
            | Self::UpdateSession { connection, .. }
            | Self::GetSession { connection }
            | Self::IsOnline { connection } => *connection,
            _ => 0,
        }
    }

    fn json_extension(&self) -> Option<Vec<u8>> {
        let value = match self {
            Self::SendToAll { only: Some(only), .. } => json!({"connections": only}),
            Self::SendToAll { only: None, except, .. } if !except.is_empty() => {
                json!({"exclude": by_key(except)})
            }
            Self::SendToUids { uids, .. } => json!(uids),
            Self::SendToGroups { groups, except, .. } => {
                json!({"group": groups, "exclude": (!except.is_empty()).then(|| by_key(except))})
            }
            Self::GetClientsByUids { uids } => json!(uids),
            Self::GetClientCounts { groups } => json!(groups),
            Self::Select(select) => json!(select),
            _ => return None,
        };
        Some(value.to_string().into_bytes())
    }

    fn credentials(&self) -> Vec<u8> {
        match self {
            Self::WorkerConnect { worker_key, secret_key } => {
                json!({"worker_key": worker_key, "secret_key": secret_key}).to_string().into_bytes()
            }
            Self::ClientConnect { secret_key } => json!({"secret_key": secret_key}).to_string().into_bytes(),
            _ => Vec::new(),
        }
    }
}

/// Makes the object for `exclude`: a gateway looks for the connections that are left out among its keys.
fn by_key(connections: &[u32]) -> serde_json::Map<String, serde_json::Value> {
    connections.iter().map(|connection| (connection.to_string(), json!(connection))).collect()
}

/// PHP's `serialize(null)`.
const NULL: &[u8] = b"N;";

fn is_null(packet: &Packet) -> bool {
    !packet.is_scalar() && packet.body == NULL
}

fn message<'a>(packet: &Packet<'a>) -> Result<&'a [u8], CommandError> {
    if packet.is_scalar() {
        Ok(packet.body)
    } else if is_null(packet) {
        // GatewayWorker's gateway sends this text for null.
        Ok(b"null")
    } else {
        Err(CommandError::NotScalar(packet.command))
    }
}

/// Makes JSON of the message of a send or kick if it is an array, as Workerman's websocket protocol does in GatewayWorker's gateway. It
/// gives `None` for any other packet. [`Packet::with_scalar`] puts the JSON in the place of the array.
pub fn array_as_json(packet: &Packet<'_>) -> Option<Result<Vec<u8>, CommandError>> {
    use number::{KICK, SEND_TO_ALL, SEND_TO_GROUP, SEND_TO_ONE, SEND_TO_UID};
    let has_message =
        matches!(packet.command, SEND_TO_ONE | SEND_TO_ALL | SEND_TO_UID | SEND_TO_GROUP | KICK);
    if !has_message || packet.is_scalar() || is_null(packet) {
        return None;
    }
    let json = php_serialize::to_json(packet.body);
    Some(json.map_err(|reason| CommandError::NotJson { command: packet.command, reason }))
}

fn json<'a, T: Deserialize<'a>>(packet: &Packet<'a>) -> Result<T, CommandError> {
    serde_json::from_slice(packet.extension).map_err(|error| CommandError::Json {
        command: packet.command,
        text: excerpt(packet.extension),
        reason: error.to_string(),
    })
}

fn credentials<'a, T: Deserialize<'a>>(packet: &Packet<'a>) -> Result<T, CommandError> {
    serde_json::from_slice(packet.body).map_err(|_| CommandError::Credentials(packet.command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_command() -> Vec<Command<'static>> {
        let (connection, message) = (0xdead_beef, b"\xff\x00 any bytes".as_slice());
        let names = || vec!["alice".to_owned(), "7".to_owned(), "中\"文".to_owned()];
        let of = ClientSelector {
            groups: Some(names()),
            uid: Some(vec![]),
            connection_id: Some(vec![connection]),
        };
        let fields = vec![
            FieldSelector::SESSION.to_owned(),
            FieldSelector::UID.to_owned(),
            FieldSelector::GROUPS.to_owned(),
        ];
        vec![
            Command::WorkerConnect { worker_key: "worker:0".to_owned(), secret_key: "s".to_owned() },
            Command::ClientConnect { secret_key: String::new() },
            Command::Ping,
            Command::SendToOne { connection, message, raw: true },
            Command::SendToAll { message, only: None, except: vec![], raw: false },
            Command::SendToAll { message, only: None, except: vec![0, connection], raw: false },
            Command::SendToAll { message, only: Some(vec![connection]), except: vec![], raw: true },
            Command::SendToUids { uids: names(), message, raw: false },
            Command::SendToGroups { groups: names(), message, except: vec![], raw: false },
            Command::SendToGroups { groups: names(), message: b"", except: vec![connection], raw: true },
            Command::Kick { connection, last: None },
            Command::Kick { connection, last: Some(b"") },
            Command::Destroy { connection },
            Command::BindUid { connection, uid: message },
            Command::UnbindUid { connection },
            Command::JoinGroup { connection, group: message },
            Command::LeaveGroup { connection, group: message },
            Command::Ungroup { group: message },
            Command::SetSession { connection, session: b"a:0:{}" },
            Command::UpdateSession { connection, changes: b"a:0:{}" },
            Command::GetSession { connection },
            Command::GetSessions,
            Command::GetSessionsByGroup { group: message },
            Command::IsOnline { connection },
            Command::GetClientsByUid { uid: message },
            Command::GetClientsByUids { uids: names() },
            Command::GetClientCount { group: None },
            Command::GetClientCount { group: Some(message) },
            Command::GetClientCounts { groups: names() },
            Command::Select(FieldSelector { fields: fields.clone(), of }),
            Command::Select(FieldSelector { fields, of: ClientSelector::default() }),
            Command::GetGroups,
        ]
    }

    #[test]
    fn round_trip() {
        for command in every_command() {
            let mut bytes = Vec::new();
            command.encode(&mut bytes).unwrap();
            let packet = Packet::decode(&bytes).unwrap();
            assert_eq!(Command::from_packet(&packet).as_ref(), Ok(&command), "{packet:?}");
        }
    }

    fn with_extension<'a>(command: u8, extension: &'a [u8]) -> Result<Command<'a>, CommandError> {
        Command::from_packet(&Packet { extension, ..Packet::new(command) })
    }

    #[test]
    fn json_is_read_as_php_writes_it() {
        let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            with_extension(16, br#"["a",7,"7",-1,1.9,true,null]"#),
            Ok(Command::GetClientsByUids { uids: strings(&["a", "7", "7", "-1", "1", "1", ""]) })
        );
        // A list of PHP from which an item was removed is an object in JSON.
        assert_eq!(
            with_extension(28, br#"{"0":"a","2":"b"}"#),
            Ok(Command::GetClientCounts { groups: strings(&["a", "b"]) })
        );
        // PHP gives the first for json_encode(['connections' => [5 => 5]]), and the second for a connection with number 0.
        for (text, only) in [(r#"{"connections":{"5":5}}"#, 5), (r#"{"connections":[0]}"#, 0)] {
            let command =
                Command::SendToAll { message: b"", only: Some(vec![only]), except: vec![], raw: false };
            assert_eq!(with_extension(6, text.as_bytes()), Ok(command));
        }
        let command =
            Command::SendToGroups { groups: strings(&["7"]), message: b"", except: vec![], raw: false };
        assert_eq!(with_extension(22, br#"{"group":[7],"exclude":null}"#), Ok(command));
        for of in ["[]", "null", "{}"] {
            let text = format!(r#"{{"fields":["uid"],"where":{of}}}"#);
            let select = FieldSelector { fields: strings(&["uid"]), of: ClientSelector::default() };
            assert_eq!(with_extension(25, text.as_bytes()), Ok(Command::Select(select)));
        }
        let select = FieldSelector {
            fields: strings(&["uid"]),
            of: ClientSelector { connection_id: Some(vec![]), ..ClientSelector::default() },
        };
        assert_eq!(
            with_extension(25, br#"{"fields":["uid"],"where":{"connection_id":[]}}"#),
            Ok(Command::Select(select))
        );
    }

    #[test]
    fn what_is_wrong_is_refused() {
        assert_eq!(with_extension(99, b""), Err(CommandError::Unknown(99)));
        let nested = "[".repeat(1 << 20);
        for (command, extension) in [
            (14, &b""[..]),
            (14, b"7"),
            (14, br#"[["nested"]]"#),
            (14, b"[\"\xff\"]"),
            (14, nested.as_bytes()),
            (25, br#"{"fields":[],"where":{"secret":[1]}}"#),
            (25, br#"{"fields":[],"where":[1]}"#),
            (6, br#"{"connections":{"5":4294967296}}"#),
            (22, br#"{"group":["a"],"exclude":7}"#),
        ] {
            let error = with_extension(command, extension).unwrap_err();
            assert!(matches!(error, CommandError::Json { .. }), "{error}");
            assert!(error.to_string().len() < 500, "{error}");
        }
        let array = Packet { flags: 0, body: b"a:0:{}", ..Packet::new(5) };
        assert_eq!(Command::from_packet(&array), Err(CommandError::NotScalar(5)));
        let null = Packet { flags: 0, body: b"N;", ..Packet::new(5) };
        assert!(matches!(Command::from_packet(&null), Ok(Command::SendToOne { message: b"null", .. })));
        let secret = Packet { body: br#"{"secret_key":["geheim"]}"#, ..Packet::new(202) };
        assert_eq!(Command::from_packet(&secret), Err(CommandError::Credentials(202)));
    }
}
