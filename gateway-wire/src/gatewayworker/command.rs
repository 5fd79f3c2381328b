//! What PHP tells a gateway.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::command_json::{names, some_names, some_values, values};
use super::packet::{Packet, PacketError, flag};
use crate::excerpt;
use crate::php_serialize::{self, NotJson};

/// A command, with what its packet carries. Connections are the last 32 bits of client ids of the gateway that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// From a process that handles events; first of all, if there is a secret.
    WorkerConnect {
        /// `name:number`, one of its kind on a machine.
        worker_key: String,
        secret_key: String,
    },
    /// From a process that only gives orders; first of all, if there is a secret.
    ClientConnect {
        secret_key: String,
    },
    Ping,

    SendToOne {
        connection: u32,
        message: &'a [u8],
        raw: bool,
    },
    /// `only`: nobody but these. `except`: all but these.
    SendToAll {
        message: &'a [u8],
        only: Option<Vec<u32>>,
        except: Vec<u32>,
        raw: bool,
    },
    SendToUids {
        uids: Vec<String>,
        message: &'a [u8],
        raw: bool,
    },
    SendToGroups {
        groups: Vec<String>,
        message: &'a [u8],
        except: Vec<u32>,
        raw: bool,
    },
    /// Everything queued goes out first, then `last`, then the connection closes.
    Kick {
        connection: u32,
        last: Option<&'a [u8]>,
    },
    Destroy {
        connection: u32,
    },
    BindUid {
        connection: u32,
        uid: &'a [u8],
    },
    UnbindUid {
        connection: u32,
    },
    JoinGroup {
        connection: u32,
        group: &'a [u8],
    },
    LeaveGroup {
        connection: u32,
        group: &'a [u8],
    },
    Ungroup {
        group: &'a [u8],
    },
    /// Sessions are serialized PHP arrays; no bytes are no session.
    SetSession {
        connection: u32,
        session: &'a [u8],
    },
    /// Merged as `array_replace_recursive(session, changes)`.
    UpdateSession {
        connection: u32,
        changes: &'a [u8],
    },

    /// The session; an empty array when there is none, null when offline.
    GetSession {
        connection: u32,
    },
    /// `[connection => session]`, a session being a string.
    GetSessions,
    /// The same, of a group.
    GetSessionsByGroup {
        group: &'a [u8],
    },
    /// 0 or 1.
    IsOnline {
        connection: u32,
    },
    /// A list of connections.
    GetClientsByUid {
        uid: &'a [u8],
    },
    /// `[uid => connections]`.
    GetClientsByUids {
        uids: Vec<String>,
    },
    /// An int; without a group, of everybody.
    GetClientCount {
        group: Option<&'a [u8]>,
    },
    /// `[group => int]`.
    GetClientCounts {
        groups: Vec<String>,
    },
    /// `[connection => [field => value]]`.
    Select(FieldSelector),
    /// A list of groups.
    GetGroups,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSelector {
    /// `session`, `uid` and `groups`; of others each value is null.
    #[serde(deserialize_with = "names")]
    pub fields: Vec<String>,
    /// Everybody, unless it says something.
    #[serde(rename = "where")]
    pub of: ClientSelector,
}

/// Clients of whom any of these is true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "EmptyList")]
pub struct ClientSelector {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<Vec<u32>>,
}

/// An empty array of PHP is a list in JSON.
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

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("there is no command with number {0}")]
    Unknown(u8),
    #[error("the extension data of command {command} is not the JSON expected ({reason}): {text:?}")]
    Json { command: u8, text: String, reason: String },
    #[error("the body of command {0}, its credentials, is not the JSON expected")]
    Credentials(u8),
    #[error("the message of command {0} is no scalar: send a string")]
    NotScalar(u8),
    #[error("the message of command {command} is no scalar and cannot be made JSON: {reason}")]
    NotJson { command: u8, reason: NotJson },
}

impl CommandError {
    /// Whether somebody waits for a reply to the command.
    pub fn is_of_query(&self) -> bool {
        const QUERIES_WITH_JSON: [u8; 3] =
            [number::BATCH_GET_CLIENT_ID_BY_UID, number::BATCH_GET_CLIENT_COUNT_BY_GROUP, number::SELECT];
        matches!(self, Self::Json { command, .. } if QUERIES_WITH_JSON.contains(command))
    }
}

impl FieldSelector {
    pub const SESSION: &'static str = "session";
    pub const UID: &'static str = "uid";
    pub const GROUPS: &'static str = "groups";
}

impl ClientSelector {
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

/// The numbers of the protocol.
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

/// Of a broadcast.
#[derive(Default, Deserialize)]
struct Audience {
    #[serde(default, deserialize_with = "some_values")]
    connections: Option<Vec<u32>>,
    #[serde(default, deserialize_with = "values")]
    exclude: Vec<u32>,
}

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

    /// Whether the gateway replies to it.
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

    /// Appends the command's packet.
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

/// A gateway looks for those left out among the keys.
fn by_key(connections: &[u32]) -> serde_json::Map<String, serde_json::Value> {
    connections.iter().map(|connection| (connection.to_string(), json!(connection))).collect()
}

/// `serialize(null)`
const NULL: &[u8] = b"N;";

fn is_null(packet: &Packet) -> bool {
    !packet.is_scalar() && packet.body == NULL
}

fn message<'a>(packet: &Packet<'a>) -> Result<&'a [u8], CommandError> {
    if packet.is_scalar() {
        Ok(packet.body)
    } else if is_null(packet) {
        // What GatewayWorker's gateway sends for it.
        Ok(b"null")
    } else {
        Err(CommandError::NotScalar(packet.command))
    }
}

/// The message of a send, if it is an array, as JSON: Workerman's websocket protocol makes that of it in GatewayWorker's
/// gateway. The packet with it in place of the body is one of a scalar.
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
        // What is left of a list when an item has gone is an object.
        assert_eq!(
            with_extension(28, br#"{"0":"a","2":"b"}"#),
            Ok(Command::GetClientCounts { groups: strings(&["a", "b"]) })
        );
        // json_encode(['connections' => [5 => 5]]), and of a connection with number 0.
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
