//! The table of all operations, with their parameters and results.

use gateway_wire::bridge::{Order, Query};

use super::action::Action;
use super::arguments::ArgumentKind::{
    Choice, Client, Clients, Count, Flag, FlagOrUnset, Name, Names, Session, Text, Time,
};
use super::arguments::{ArgumentKind, Arguments, Parameter};
use super::results::Shape;
use super::{send, tracked};
use crate::admin::answer::Refusal;

/// One operation of the HTTP API.
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) result: Shape,
    pub(super) call: for<'a> fn(&'a Arguments) -> Result<Action<'a>, Refusal>,
}

const fn needs(name: &'static str, kind: ArgumentKind, help: &'static str) -> Parameter {
    Parameter { name, kind, is_required: true, help }
}

const fn takes(name: &'static str, kind: ArgumentKind, help: &'static str) -> Parameter {
    Parameter { name, kind, is_required: false, help }
}

const CLIENT: Parameter = needs("client_id", Client, "the client");
const MESSAGE: Parameter = needs("message", Text, "what is sent");
const UID: Parameter = needs("uid", Name, "the uid");
const UIDS: Parameter = needs("uids", Names, "the uids");
const GROUP: Parameter = needs("group", Name, "the group");
const GROUPS: Parameter = needs("groups", Names, "the groups");
const EXCEPT: Parameter = takes("exclude_client_id", Clients, "clients that do not get it");
const RAW: Parameter = takes("raw", Flag, "whether the bytes go out as they are, without framing");
const EXCEPT_GROUPS: Parameter = takes("exclude_group", Names, "groups whose members do not get it");
const BINARY: Parameter = takes(
    "binary",
    FlagOrUnset,
    "whether websocket clients get the message as binary, or as text; without it as the server is set",
);
const SESSION: Parameter = needs("session", Session, "what PHP sees as an array");

fn order(order: Order<'_>) -> Result<Action<'_>, Refusal> {
    Ok(Action::Order(order))
}

fn query(query: Query<'_>) -> Result<Action<'_>, Refusal> {
    Ok(Action::Query(query))
}

/// Makes the table. An entry has a name, parameters, the shape of the result, a help text, and what it asks of the
/// gateway.
macro_rules! operations {
    ($($name:ident ($($parameter:expr),*) -> $result:expr, $help:literal, |$arguments:ident| $call:expr;)*) => {
        &[$(Operation {
            name: stringify!($name),
            help: $help,
            parameters: &[$($parameter),*],
            result: $result,
            call: |$arguments| $call,
        }),*]
    };
}

pub(super) static OPERATIONS: &[Operation] = operations! {
    sendToAll(
        MESSAGE,
        takes("client_id_array", Clients, "only these; an empty list is nobody"),
        EXCEPT,
        RAW,
        EXCEPT_GROUPS,
        BINARY
    ) -> Shape::Nothing, "Sends to everybody, or to the clients listed", |a| order(send::to_all(a)?);
    sendToClient(CLIENT, MESSAGE, RAW, BINARY) -> Shape::Nothing, "Sends to one client",
        |a| order(send::to_client(a)?);
    sendToUid(needs("uid", Names, "the uid, or several"), MESSAGE, RAW, EXCEPT, EXCEPT_GROUPS, BINARY)
        -> Shape::Nothing, "Sends to all clients of a uid, or of each of several", |a| order(send::to_uids(a)?);
    sendToGroup(needs("group", Names, "the group, or several"), MESSAGE, EXCEPT, RAW, EXCEPT_GROUPS, BINARY)
        -> Shape::Nothing, "Sends to all members of a group, or of each of several",
        |a| order(send::to_groups(a)?);
    sendToUidCounted(needs("uid", Names, "the uid, or several"), MESSAGE) -> Shape::Fields,
        "Sends to all clients of a uid, or of each of several, each once, and says how many have taken it",
        |a| tracked::to_uids(a);
    sendToGroupCounted(needs("group", Names, "the group, or several"), MESSAGE, EXCEPT) -> Shape::Fields,
        "Sends to all members of a group, or of each of several, each once, and says how many have taken it",
        |a| tracked::to_groups(a);
    ask(
        needs("client_id_or_uid", Name, "the client or the uid; twenty hex digits are a client"),
        MESSAGE,
        takes("timeout", Time, "how many seconds pages have for their answers; without it 3")
    ) -> Shape::Answers, "Asks the page of a client, or all pages of a uid, and waits for their answers",
        |a| tracked::ask(a);
    deliverToUid(
        UID,
        MESSAGE,
        needs("id", Text, "the id of the message; the same id again is the same message"),
        takes("ttl", Count, "how many seconds it waits at most; without it 604800"),
        takes("replace", Text, "only the newest message of the uid with this key is kept"),
        takes("new_device", Choice(&["all", "unacknowledged"]), "which devices that come later get it"),
        BINARY
    ) -> Shape::Nothing, "Keeps a message for a uid, until each of its devices has it", |a| order(send::to_inbox(a)?);
    receipt(needs("id", Text, "the id of the message")) -> Shape::ListOfFields,
        "What has become of a message that was kept, for each uid that it is for", |a| query(Query::Receipt {
            id: a.text("id")?,
        });
    inboxOf(UID) -> Shape::Fields, "What waits for a uid, by device; null for one of whom nothing is kept",
        |a| query(Query::InboxOf { uid: a.text("uid")? });
    forget(UID) -> Shape::Nothing, "Forgets everything that is kept of a uid", |a| order(Order::Forget {
        uid: a.text("uid")?,
    });
    closeUid(needs("uid", Names, "the uid, or several"), takes("message", Text, "sent before")) -> Shape::Nothing,
        "Closes all clients of a uid, or of each of several, once all that was sent to them has gone out",
        |a| order(Order::CloseUids {
            uids: a.names("uid"),
            last: a.optional_text("message"),
        });
    closeClient(CLIENT, takes("message", Text, "sent before")) -> Shape::Nothing,
        "Closes a client once all that was sent to it has gone out", |a| order(Order::Close {
            client: a.client("client_id")?,
            last: a.optional_text("message"),
        });
    destroyClient(CLIENT) -> Shape::Nothing, "Drops a client at once", |a| order(Order::Destroy {
        client: a.client("client_id")?,
    });
    bindUid(CLIENT, UID) -> Shape::Nothing, "Binds a client to a uid", |a| order(Order::BindUid {
        client: a.client("client_id")?,
        uid: a.text("uid")?,
    });
    unbindUid(CLIENT) -> Shape::Nothing, "Takes a client's uid from it", |a| order(Order::UnbindUid {
        client: a.client("client_id")?,
    });
    joinGroup(CLIENT, GROUP) -> Shape::Nothing, "Puts a client in a group", |a| order(Order::JoinGroup {
        client: a.client("client_id")?,
        group: a.text("group")?,
    });
    leaveGroup(CLIENT, GROUP) -> Shape::Nothing, "Takes a client out of a group", |a| order(Order::LeaveGroup {
        client: a.client("client_id")?,
        group: a.text("group")?,
    });
    ungroup(GROUP) -> Shape::Nothing, "Takes everybody out of a group", |a| order(Order::Ungroup {
        group: a.text("group")?,
    });
    setSession(CLIENT, SESSION) -> Shape::Nothing, "Replaces a client's session", |a| order(Order::SetSession {
        client: a.client("client_id")?,
        session: a.text("session")?,
    });
    updateSession(CLIENT, SESSION) -> Shape::Nothing, "Merges into a client's session",
        |a| order(Order::UpdateSession {
            client: a.client("client_id")?,
            changes: a.text("session")?,
        });
    isOnline(CLIENT) -> Shape::Flag, "Whether a client is online", |a| query(Query::IsOnline {
        client: a.client("client_id")?,
    });
    isUidOnline(UID) -> Shape::Flag, "Whether a uid has clients", |a| query(Query::IsUidOnline {
        uid: a.text("uid")?,
    });
    isUidsOnline(UIDS) -> Shape::OfEach("uids", &Shape::Flag), "Whether each of several uids has clients",
        |a| query(Query::AreUidsOnline { uids: a.list("uids") });
    getClientIdByUid(UID) -> Shape::Clients, "The clients of a uid", |a| query(Query::ClientsOfUid {
        uid: a.text("uid")?,
    });
    batchGetClientIdByUid(UIDS) -> Shape::OfEach("uids", &Shape::Clients), "The clients of each of several uids",
        |a| query(Query::ClientsOfUids { uids: a.list("uids") });
    getUidByClientId(CLIENT) -> Shape::Text, "A client's uid, or null", |a| query(Query::UidOfClient {
        client: a.client("client_id")?,
    });
    getClientProof(CLIENT) -> Shape::Text, "What a client was told to prove that it is the one, or null",
        |a| query(Query::ProofOfClient { client: a.client("client_id")? });
    getClientInfo(CLIENT) -> Shape::Fields,
        "What is known of a client: whether it is connected or parked, since when, and more; null if it is not online",
        |a| query(Query::ClientInfo { client: a.client("client_id")? });
    getAllClientIdCount() -> Shape::Count, "How many clients there are", |_a| query(Query::ClientCount {});
    getClientIdCountByGroup(GROUP) -> Shape::Count, "How many clients a group has",
        |a| query(Query::ClientCountOfEach { groups: a.list("group") });
    batchGetClientIdCountByGroup(GROUPS) -> Shape::OfEach("groups", &Shape::Count),
        "How many clients each of several groups has", |a| query(Query::ClientCountOfEach {
            groups: a.list("groups"),
        });
    getAllClientIdList() -> Shape::Clients, "All clients", |_a| query(Query::Clients { groups: None });
    getClientIdListByGroup(needs("group", Names, "the group, or several")) -> Shape::Clients,
        "The clients of a group, or of several, each once",
        |a| query(Query::Clients { groups: Some(a.list("group")) });
    getAllUidList() -> Shape::Names, "All uids", |_a| query(Query::Uids { groups: None });
    getAllUidCount() -> Shape::Count, "How many uids there are", |_a| query(Query::UidCount { groups: None });
    getUidListByGroup(needs("group", Names, "the group, or several")) -> Shape::Names,
        "The uids of a group, or of several, each once",
        |a| query(Query::Uids { groups: Some(a.list("group")) });
    getUidCountByGroup(GROUP) -> Shape::Count, "How many uids a group has",
        |a| query(Query::UidCount { groups: Some(a.list("group")) });
    getAllGroupIdList() -> Shape::Names, "All groups", |_a| query(Query::Groups {});
    getAllGroupUidList() -> Shape::OfGroups(&Shape::Names), "The uids of each group",
        |_a| query(Query::GroupUids {});
    getAllGroupUidCount() -> Shape::OfGroups(&Shape::Count), "How many uids each group has",
        |_a| query(Query::GroupUidCounts {});
    getAllGroupClientIdList() -> Shape::OfGroups(&Shape::Clients), "The clients of each group",
        |_a| query(Query::GroupClients {});
    getAllGroupClientIdCount() -> Shape::OfGroups(&Shape::Count), "How many clients each group has",
        |_a| query(Query::GroupClientCounts {});
    getSession(CLIENT) -> Shape::Session, "A client's session, or null if it is not online",
        |a| query(Query::Session { client: a.client("client_id")? });
    getAllClientSessions() -> Shape::OfClients(&Shape::Session), "The sessions of all clients",
        |_a| query(Query::Sessions { groups: None });
    getClientSessionsByGroup(needs("group", Names, "the group, or several")) -> Shape::OfClients(&Shape::Session),
        "The sessions of a group's clients, or of several groups'",
        |a| query(Query::Sessions { groups: Some(a.list("group")) });
};
