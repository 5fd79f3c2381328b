//! Translates queries into GatewayWorker's commands, and says which gateways are asked.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;

use gateway_wire::ClientId;
use gateway_wire::bridge::{PhpStr, Query};
use gateway_wire::gatewayworker::{ClientSelector, Command, FieldSelector};

use super::aggregate::{Aggregate, AnswersByName, UidAnswer};
use super::encode_order::{Unsupported, texts};

pub(super) struct QueryCommands<'a> {
    /// The only gateway that knows the answer, if it is one.
    pub(super) only: Option<SocketAddrV4>,
    /// The commands are sent one after the other; the index of a command is the part of the answer that its reply is.
    pub(super) commands: Vec<Command<'a>>,
    pub(super) aggregate: Aggregate,
}

pub(super) fn commands_for<'a>(query: &Query<'a>) -> Result<QueryCommands<'a>, Unsupported> {
    Ok(match query {
        Query::IsOnline { client } => {
            of_one(*client, |connection| Command::IsOnline { connection }, Aggregate::Flag(false))
        }
        Query::Session { client } => {
            of_one(*client, |connection| Command::GetSession { connection }, Aggregate::Session(None))
        }
        Query::UidOfClient { client } => {
            let select = |connection| {
                Command::Select(FieldSelector {
                    fields: vec![FieldSelector::UID.to_owned()],
                    of: ClientSelector { connection_id: Some(vec![connection]), ..ClientSelector::default() },
                })
            };
            of_one(*client, select, Aggregate::Uid(None))
        }
        Query::ClientInfo { client } => {
            let select = |connection| {
                Command::Select(FieldSelector {
                    fields: vec![FieldSelector::UID.to_owned(), FieldSelector::GROUPS.to_owned()],
                    of: ClientSelector { connection_id: Some(vec![connection]), ..ClientSelector::default() },
                })
            };
            of_one(*client, select, Aggregate::ClientInfo(None))
        }
        Query::IsUidOnline { uid } => of_uids(std::slice::from_ref(uid), UidAnswer::IsOnline),
        Query::ClientsOfUid { uid } => of_uids(std::slice::from_ref(uid), UidAnswer::Clients),
        Query::AreUidsOnline { uids } => of_uids(uids, UidAnswer::EachIsOnline),
        Query::ClientsOfUids { uids } => of_uids(uids, UidAnswer::EachClients),
        Query::ClientCount {} => of_all(vec![Command::GetClientCount { group: None }], Aggregate::Sum(0)),
        Query::ClientCountOfEach { groups } => counts(groups),
        Query::Sessions { groups: None } => of_all(vec![Command::GetSessions], Aggregate::sessions()),
        Query::Sessions { groups: Some(groups) } => {
            let of_group = |group: &PhpStr<'a>| Command::GetSessionsByGroup { group };
            of_all(groups.iter().map(of_group).collect(), Aggregate::sessions())
        }
        Query::Clients { groups } => select(&[FieldSelector::UID], groups.as_deref(), Aggregate::clients())?,
        Query::Uids { groups } => select(&[FieldSelector::UID], groups.as_deref(), Aggregate::uids(false))?,
        Query::UidCount { groups } => {
            select(&[FieldSelector::UID], groups.as_deref(), Aggregate::uids(true))?
        }
        Query::Groups {} => of_all(vec![Command::GetGroups], Aggregate::groups()),
        Query::GroupClients {} => select(&[FieldSelector::GROUPS], None, Aggregate::group_clients(false))?,
        Query::GroupClientCounts {} => {
            select(&[FieldSelector::GROUPS], None, Aggregate::group_clients(true))?
        }
        Query::GroupUids {} => {
            select(&[FieldSelector::UID, FieldSelector::GROUPS], None, Aggregate::group_uids(false))?
        }
        Query::GroupUidCounts {} => {
            select(&[FieldSelector::UID, FieldSelector::GROUPS], None, Aggregate::group_uids(true))?
        }
        Query::ProofOfClient { .. } => return Err(Unsupported::Proof),
        Query::Delivered { .. } | Query::Replies { .. } => return Err(Unsupported::Tracked),
        Query::Receipt { .. } | Query::InboxOf { .. } => return Err(Unsupported::Inbox),
        Query::Nodes {} => return Err(Unsupported::Nodes),
        Query::Never(never, _) => match *never {},
    })
}

fn of_one<'a>(
    client: ClientId,
    command: impl FnOnce(u32) -> Command<'a>,
    aggregate: Aggregate,
) -> QueryCommands<'a> {
    QueryCommands { only: Some(client.node), commands: vec![command(client.connection)], aggregate }
}

fn of_all(commands: Vec<Command<'_>>, aggregate: Aggregate) -> QueryCommands<'_> {
    QueryCommands { only: None, commands, aggregate }
}

fn of_uids<'a>(uids: &[PhpStr<'a>], shape: UidAnswer) -> QueryCommands<'a> {
    let answers = AnswersByName::new(uids);
    let single = |uid: PhpStr<'a>| Command::GetClientsByUid { uid };
    let batch = |uids| Command::GetClientsByUids { uids };
    let (commands, is_batch) = each_or_batch(uids, single, batch);
    of_all(commands, Aggregate::ClientsOfUids { answers, is_batch, shape })
}

fn counts<'a>(groups: &[PhpStr<'a>]) -> QueryCommands<'a> {
    let answers = AnswersByName::new(groups);
    let single = |group: PhpStr<'a>| Command::GetClientCount { group: Some(group) };
    let batch = |groups| Command::GetClientCounts { groups };
    let (commands, is_batch) = each_or_batch(groups, single, batch);
    of_all(commands, Aggregate::Counts { answers, is_batch })
}

/// Makes one command for many names where JSON carries them all, and else one for each, in the order in which [`AnswersByName`]
/// keeps them.
fn each_or_batch<'a>(
    names: &[PhpStr<'a>],
    single: impl Fn(PhpStr<'a>) -> Command<'a>,
    batch: impl FnOnce(Vec<String>) -> Command<'a>,
) -> (Vec<Command<'a>>, bool) {
    let different: BTreeSet<PhpStr<'a>> = names.iter().copied().collect();
    if different.len() > 1
        && let Ok(texts) = texts(&different.iter().copied().collect::<Vec<_>>())
    {
        return (vec![batch(texts)], true);
    }
    (different.into_iter().map(single).collect(), false)
}

fn select<'a>(
    fields: &[&str],
    groups: Option<&[PhpStr]>,
    aggregate: Aggregate,
) -> Result<QueryCommands<'a>, Unsupported> {
    let select = FieldSelector {
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        of: ClientSelector { groups: groups.map(texts).transpose()?, ..ClientSelector::default() },
    };
    Ok(of_all(vec![Command::Select(select)], aggregate))
}
