//! Merges the answers of several gateways into one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, PhpStr};
use gateway_wire::php_serialize::{self as php, Key, PhpValue};

/// The most values that a reply may have. Each takes about 80 bytes while it is read; a reply about a million clients with uids
/// stays below.
const MOST_TOKENS: usize = 8 << 20;

/// The bytes of a client_id.
type ClientIdBytes = [u8; ClientId::BYTES];
/// The bytes of a uid or of a group's name.
type NameBytes = Vec<u8>;

/// The kind of answer that is wanted, and what has arrived of it.
#[derive(Debug)]
pub(super) enum Aggregate {
    Flag(bool),
    Sum(i64),
    Session(Option<Vec<u8>>),
    Uid(Option<NameBytes>),
    ClientInfo(Option<SelectedClient>),
    ClientsOfUids { answers: AnswersByName<Vec<ClientIdBytes>>, is_batch: bool, shape: UidAnswer },
    Counts { answers: AnswersByName<i64>, is_batch: bool },
    Clients(BTreeSet<ClientIdBytes>),
    Sessions(BTreeMap<ClientIdBytes, Vec<u8>>),
    Uids { uids: BTreeSet<NameBytes>, count: bool },
    Groups(BTreeSet<NameBytes>),
    GroupClients { groups: BTreeMap<NameBytes, Vec<ClientIdBytes>>, count: bool },
    GroupUids { groups: BTreeMap<NameBytes, BTreeSet<NameBytes>>, count: bool },
}

/// The form in which the clients of uids are answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum UidAnswer {
    IsOnline,
    EachIsOnline,
    Clients,
    EachClients,
}

/// The answers about each of several names.
#[derive(Debug)]
pub(super) struct AnswersByName<T> {
    /// The names in the order in which they were asked about.
    names: Vec<NameBytes>,
    of: BTreeMap<NameBytes, T>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MalformedReply {
    #[error("its reply is not what PHP's serialize() gives: {0}")]
    Malformed(#[from] php::Malformed),
    #[error("its reply has more than {MOST_TOKENS} values; ask for less at once, or count")]
    TooMany,
    #[error("its reply has something else where {0} is expected: it may not know the question")]
    Unexpected(&'static str),
}

impl<T: Clone + Default> AnswersByName<T> {
    pub(super) fn new(names: &[PhpStr]) -> Self {
        let names: Vec<_> = names.iter().map(|name| name.to_vec()).collect();
        let of = names.iter().map(|name| (name.clone(), T::default())).collect();
        Self { names, of }
    }

    /// Gives the place of the answer about a name; `None` for a name that was not asked about.
    fn about(&mut self, name: &[u8]) -> Option<&mut T> {
        self.of.get_mut(name)
    }

    /// Gives the place of the answer to a part, in the order of the distinct names.
    fn part(&mut self, part: usize) -> Option<&mut T> {
        self.of.values_mut().nth(part)
    }

    fn list(self, show: impl Fn(T) -> AnswerValue) -> AnswerValue {
        let of = self.of;
        let answer = |name| show(of.get(name).cloned().unwrap_or_default());
        AnswerValue::List(self.names.iter().map(answer).collect())
    }
}

impl Aggregate {
    pub(super) fn sessions() -> Self {
        Self::Sessions(BTreeMap::new())
    }

    pub(super) fn clients() -> Self {
        Self::Clients(BTreeSet::new())
    }

    pub(super) fn uids(count: bool) -> Self {
        Self::Uids { uids: BTreeSet::new(), count }
    }

    pub(super) fn groups() -> Self {
        Self::Groups(BTreeSet::new())
    }

    pub(super) fn group_clients(count: bool) -> Self {
        Self::GroupClients { groups: BTreeMap::new(), count }
    }

    pub(super) fn group_uids(count: bool) -> Self {
        Self::GroupUids { groups: BTreeMap::new(), count }
    }

    /// Takes the reply of the gateway `node` to one of the query's commands.
    pub(super) fn take(
        &mut self,
        node: SocketAddrV4,
        part: usize,
        reply: &[u8],
    ) -> Result<(), MalformedReply> {
        let id = |connection| ClientId::new(node, connection).to_bytes();
        // A session is anything that the program has stored; PHP reads it.
        if let Self::Session(session) = self {
            *session = (reply != NULL).then(|| reply.to_vec());
            return Ok(());
        }
        if php::count_tokens(reply) > MOST_TOKENS {
            return Err(MalformedReply::TooMany);
        }
        let reply = PhpValue::parse(reply)?;
        match self {
            Self::Flag(flag) => *flag |= int(&reply)? != 0,
            Self::Sum(sum) => *sum = sum.saturating_add(int(&reply)?),
            Self::Session(_) => {}
            Self::Uid(uid) => {
                for row in rows(&reply)? {
                    *uid = row?.uid;
                }
            }
            Self::ClientInfo(info) => {
                for row in rows(&reply)? {
                    *info = Some(row?);
                }
            }
            Self::ClientsOfUids { answers, is_batch, .. } => {
                let add = |of: Option<&mut Vec<ClientIdBytes>>, connections: &PhpValue| {
                    let Some(of) = of else { return Ok(()) };
                    for (_, connection) in array(connections)? {
                        of.push(id(number(int(connection)?)?));
                    }
                    Ok(())
                };
                if !*is_batch {
                    return add(answers.part(part), &reply);
                }
                for (uid, connections) in array(&reply)? {
                    add(answers.about(&key(uid)), connections)?;
                }
            }
            Self::Counts { answers, is_batch } => {
                let add = |of: Option<&mut i64>, count: &PhpValue| {
                    let Some(of) = of else { return Ok(()) };
                    *of = of.saturating_add(int(count)?);
                    Ok(())
                };
                if !*is_batch {
                    return add(answers.part(part), &reply);
                }
                for (group, count) in array(&reply)? {
                    add(answers.about(&key(group)), count)?;
                }
            }
            Self::Clients(clients) => {
                for row in rows(&reply)? {
                    clients.insert(id(row?.connection));
                }
            }
            Self::Sessions(sessions) => {
                for (connection, session) in array(&reply)? {
                    sessions.insert(id(connection_of(connection)?), name(session)?.unwrap_or_default());
                }
            }
            Self::Uids { uids, .. } => {
                for row in rows(&reply)? {
                    uids.extend(row?.uid);
                }
            }
            Self::Groups(groups) => {
                for (_, group) in array(&reply)? {
                    groups.extend(name(group)?);
                }
            }
            Self::GroupClients { groups, .. } => {
                for row in rows(&reply)? {
                    let row = row?;
                    for group in row.groups {
                        groups.entry(group).or_default().push(id(row.connection));
                    }
                }
            }
            Self::GroupUids { groups, .. } => {
                for row in rows(&reply)? {
                    let row = row?;
                    let Some(uid) = row.uid else { continue };
                    for group in row.groups {
                        groups.entry(group).or_default().insert(uid.clone());
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn value(self) -> AnswerValue {
        match self {
            Self::Flag(flag) => AnswerValue::Bool(flag),
            Self::Sum(sum) => AnswerValue::Int(sum),
            Self::Session(bytes) | Self::Uid(bytes) => bytes.map_or(AnswerValue::Null, AnswerValue::Str),
            Self::ClientInfo(info) => info.map_or(AnswerValue::Null, SelectedClient::info),
            Self::ClientsOfUids { answers, shape, .. } => match shape {
                UidAnswer::EachIsOnline => answers.list(|clients| AnswerValue::Bool(!clients.is_empty())),
                UidAnswer::EachClients => answers.list(ids),
                UidAnswer::IsOnline => {
                    AnswerValue::Bool(answers.of.values().any(|clients| !clients.is_empty()))
                }
                UidAnswer::Clients => ids(answers.of.into_values().flatten()),
            },
            Self::Counts { answers, .. } => answers.list(AnswerValue::Int),
            Self::Clients(clients) => ids(clients),
            Self::Sessions(sessions) => {
                let entry = |(id, session): (ClientIdBytes, _)| {
                    (AnswerValue::Str(id.to_vec()), AnswerValue::Str(session))
                };
                AnswerValue::Map(sessions.into_iter().map(entry).collect())
            }
            Self::Uids { uids, count } => counted(names(uids), count),
            Self::Groups(groups) => names(groups),
            Self::GroupClients { groups, count } => of_groups(groups, |clients| counted(ids(clients), count)),
            Self::GroupUids { groups, count } => of_groups(groups, |uids| counted(names(uids), count)),
        }
    }
}

/// `serialize(null)`
const NULL: &[u8] = b"N;";

/// The fields of one client in a reply to SELECT, as far as they were asked for.
#[derive(Debug)]
pub(super) struct SelectedClient {
    connection: u32,
    uid: Option<NameBytes>,
    groups: Vec<NameBytes>,
}

impl SelectedClient {
    /// Describes the client as [`Query::ClientInfo`](gateway_wire::bridge::Query::ClientInfo) is answered, as far as GatewayWorker's
    /// gateways know it. They park nobody, so whoever is there is connected.
    fn info(self) -> AnswerValue {
        let fields = [
            ("state", AnswerValue::Str(b"connected".to_vec())),
            ("since", AnswerValue::Null),
            ("online_since", AnswerValue::Null),
            ("address", AnswerValue::Null),
            ("listener", AnswerValue::Null),
            ("uid", self.uid.map_or(AnswerValue::Null, AnswerValue::Str)),
            ("groups", AnswerValue::List(self.groups.into_iter().map(AnswerValue::Str).collect())),
            ("queued_bytes", AnswerValue::Null),
            ("parked_seconds", AnswerValue::Null),
            ("kept_bytes", AnswerValue::Int(0)),
        ];
        let named =
            fields.into_iter().map(|(name, value)| (AnswerValue::Str(name.as_bytes().to_vec()), value));
        AnswerValue::Map(named.collect())
    }
}

fn rows<'a>(
    reply: &'a PhpValue<'a>,
) -> Result<impl Iterator<Item = Result<SelectedClient, MalformedReply>> + 'a, MalformedReply> {
    Ok(array(reply)?.iter().map(|(connection, fields)| {
        let mut row =
            SelectedClient { connection: connection_of(connection)?, uid: None, groups: Vec::new() };
        for (field, value) in array(fields)? {
            match (field, value) {
                (Key::Str(b"uid"), uid) => row.uid = name(uid)?.filter(|uid| !uid.is_empty()),
                (Key::Str(b"groups"), PhpValue::Array(groups)) => {
                    row.groups = groups.iter().map(|(group, _)| key(group)).collect();
                }
                _ => {}
            }
        }
        Ok(row)
    }))
}

fn array<'a>(value: &'a PhpValue<'a>) -> Result<&'a [(Key<'a>, PhpValue<'a>)], MalformedReply> {
    match value {
        PhpValue::Array(entries) => Ok(entries),
        _ => Err(MalformedReply::Unexpected("an array")),
    }
}

fn int(value: &PhpValue) -> Result<i64, MalformedReply> {
    match value {
        PhpValue::Int(number) => Ok(*number),
        PhpValue::Bool(flag) => Ok(i64::from(*flag)),
        _ => Err(MalformedReply::Unexpected("a number")),
    }
}

/// Reads a name; `None` stands for null.
fn name(value: &PhpValue) -> Result<Option<NameBytes>, MalformedReply> {
    match value {
        PhpValue::Null => Ok(None),
        PhpValue::Str(bytes) => Ok(Some(bytes.to_vec())),
        PhpValue::Int(number) => Ok(Some(number.to_string().into_bytes())),
        _ => Err(MalformedReply::Unexpected("a string")),
    }
}

fn key(key: &Key) -> NameBytes {
    match key {
        Key::Int(number) => number.to_string().into_bytes(),
        Key::Str(bytes) => bytes.to_vec(),
    }
}

fn connection_of(key: &Key) -> Result<u32, MalformedReply> {
    match key {
        Key::Int(connection) => number(*connection),
        Key::Str(_) => Err(MalformedReply::Unexpected("a connection's number")),
    }
}

fn number(connection: i64) -> Result<u32, MalformedReply> {
    u32::try_from(connection).map_err(|_| MalformedReply::Unexpected("a connection's number"))
}

fn ids(clients: impl IntoIterator<Item = ClientIdBytes>) -> AnswerValue {
    AnswerValue::List(clients.into_iter().map(|id| AnswerValue::Str(id.to_vec())).collect())
}

fn names(names: BTreeSet<NameBytes>) -> AnswerValue {
    AnswerValue::List(names.into_iter().map(AnswerValue::Str).collect())
}

fn of_groups<T>(groups: BTreeMap<NameBytes, T>, show: impl Fn(T) -> AnswerValue) -> AnswerValue {
    AnswerValue::Map(groups.into_iter().map(|(group, of)| (AnswerValue::Str(group), show(of))).collect())
}

fn counted(list: AnswerValue, count: bool) -> AnswerValue {
    match list {
        AnswerValue::List(items) if count => AnswerValue::Int(i64::try_from(items.len()).unwrap_or(i64::MAX)),
        list => list,
    }
}

#[cfg(test)]
mod tests {
    use gateway_wire::bridge::Query;
    use serde_bytes::Bytes;

    use super::super::encode_query::commands_for;
    use super::*;

    const ONE: &str = "10.0.0.1:2900";
    const TWO: &str = "10.0.0.2:2900";

    /// Asks two gateways, each of which replies to the query's one command.
    fn asked(query: &Query, replies: [&str; 2]) -> AnswerValue {
        let mut commands = commands_for(query).unwrap();
        assert_eq!(commands.commands.len(), 1);
        for (node, reply) in [ONE, TWO].into_iter().zip(replies) {
            commands.aggregate.take(node.parse().unwrap(), 0, reply.as_bytes()).unwrap();
        }
        commands.aggregate.value()
    }

    #[test]
    fn a_reply_of_very_many_values_is_refused_before_it_is_read() {
        let mut commands = commands_for(&Query::ClientCount {}).unwrap();
        let reply = format!("a:{}:{{{}}}", MOST_TOKENS / 2, "i:0;N;".repeat(MOST_TOKENS / 2));
        let taken = commands.aggregate.take(ONE.parse().unwrap(), 0, reply.as_bytes());
        assert_eq!(taken, Err(MalformedReply::TooMany));
    }

    fn id(node: &str, connection: u32) -> AnswerValue {
        AnswerValue::Str(ClientId::new(node.parse().unwrap(), connection).to_bytes().to_vec())
    }

    fn text(text: &str) -> AnswerValue {
        AnswerValue::Str(text.as_bytes().to_vec())
    }

    #[test]
    fn counts_are_added_and_lists_are_joined() {
        assert_eq!(asked(&Query::ClientCount {}, ["i:2;", "i:3;"]), AnswerValue::Int(5));
        assert_eq!(
            asked(&Query::ClientsOfUid { uid: Bytes::new(b"u") }, ["a:1:{i:0;i:7;}", "a:1:{i:0;i:7;}"]),
            AnswerValue::List(vec![id(ONE, 7), id(TWO, 7)])
        );
        assert_eq!(
            asked(
                &Query::Uids { groups: None },
                [
                    r#"a:2:{i:1;a:1:{s:3:"uid";s:1:"a";}i:2;a:1:{s:3:"uid";N;}}"#,
                    r#"a:2:{i:1;a:1:{s:3:"uid";s:1:"a";}i:2;a:1:{s:3:"uid";s:2:"42";}}"#,
                ]
            ),
            AnswerValue::List(vec![text("42"), text("a")])
        );
    }

    #[test]
    fn each_name_gets_its_answer_in_the_order_asked() {
        let names = vec![Bytes::new(b"b"), Bytes::new(b"42"), Bytes::new(b"b"), Bytes::new(b"none")];
        let uids = Query::AreUidsOnline { uids: names.clone() };
        let nobody = r#"a:3:{i:42;a:0:{}s:1:"b";a:0:{}s:4:"none";a:0:{}}"#;
        let some = r#"a:3:{i:42;a:0:{}s:1:"b";a:1:{i:0;i:1;}s:4:"none";a:0:{}}"#;
        assert_eq!(
            asked(&uids, [nobody, some]),
            AnswerValue::List([true, false, true, false].map(AnswerValue::Bool).to_vec())
        );
        let groups = Query::ClientCountOfEach { groups: names };
        assert_eq!(
            asked(&groups, [r#"a:2:{i:42;i:1;s:1:"b";i:2;}"#, r#"a:2:{i:42;i:1;s:1:"b";i:0;}"#]),
            AnswerValue::List([2, 2, 2, 0].map(AnswerValue::Int).to_vec())
        );
    }

    #[test]
    fn names_that_json_cannot_carry_are_asked_for_one_by_one() {
        let mut commands =
            commands_for(&Query::AreUidsOnline { uids: vec![Bytes::new(b"\xff"), Bytes::new(b"a")] })
                .unwrap();
        assert_eq!(commands.commands.len(), 2);
        commands.aggregate.take(ONE.parse().unwrap(), 0, b"a:0:{}").unwrap();
        commands.aggregate.take(ONE.parse().unwrap(), 1, b"a:1:{i:0;i:9;}").unwrap();
        // Part 0 is "a", the lesser of the two.
        assert_eq!(
            commands.aggregate.value(),
            AnswerValue::List(vec![AnswerValue::Bool(true), AnswerValue::Bool(false)])
        );
    }

    #[test]
    fn groups_are_told_with_all_their_clients() {
        let rows = r#"a:3:{i:1;a:2:{s:3:"uid";N;s:6:"groups";N;}i:2;a:2:{s:3:"uid";s:1:"u";s:6:"groups";a:1:{i:7;s:1:"7";}}i:3;a:2:{s:3:"uid";N;s:6:"groups";a:1:{i:7;s:1:"7";}}}"#;
        assert_eq!(
            asked(&Query::GroupClientCounts {}, [rows, rows]),
            AnswerValue::Map(vec![(text("7"), AnswerValue::Int(4))])
        );
        assert_eq!(
            asked(&Query::GroupUids {}, [rows, rows]),
            AnswerValue::Map(vec![(text("7"), AnswerValue::List(vec![text("u")]))])
        );
    }

    #[test]
    fn sessions_are_passed_on_as_they_are() {
        let client = ClientId::new(ONE.parse().unwrap(), 1);
        for (reply, value) in
            [("N;", AnswerValue::Null), ("a:0:{}", text("a:0:{}")), ("O:1:\"X\"", text("O:1:\"X\""))]
        {
            let mut commands = commands_for(&Query::Session { client }).unwrap();
            commands.aggregate.take(client.node, 0, reply.as_bytes()).unwrap();
            assert_eq!(commands.aggregate.value(), value);
        }
        let all = asked(&Query::Sessions { groups: None }, [r#"a:1:{i:1;s:0:"";}"#, "a:0:{}"]);
        assert_eq!(all, AnswerValue::Map(vec![(id(ONE, 1), text(""))]));
    }

    #[test]
    fn a_reply_to_something_else_is_an_error() {
        for (query, reply) in [
            (Query::ClientCount {}, "a:0:{}"),
            (Query::Groups {}, "i:0;"),
            (Query::Clients { groups: None }, "a:1:{i:0;i:0;}"),
            (Query::Clients { groups: None }, r#"a:1:{s:1:"x";a:0:{}}"#),
            (Query::Clients { groups: None }, "a:1:{i:-1;a:0:{}}"),
            (Query::Clients { groups: None }, "a:1:{i:0"),
        ] {
            let mut commands = commands_for(&query).unwrap();
            commands.aggregate.take(ONE.parse().unwrap(), 0, reply.as_bytes()).unwrap_err();
        }
    }
}
