//! The answers to GatewayWorker's queries, in PHP's `serialize()` form.

use bytes::Bytes;
use gateway_wire::gatewayworker::{Command, FieldSelector, PacketError, reply};
use gateway_wire::php_serialize::Writer;

use crate::hub::Hub;
use crate::shard::{Name, Profile, ProfileFields, Selector, Stopped};

/// Appends the reply to `output`. A command that is no query appends nothing.
pub(super) async fn answer(
    command: &Command<'_>,
    hub: &Hub,
    output: &mut Vec<u8>,
) -> Result<Result<(), PacketError>, Stopped> {
    let name = |name: &[u8]| Name::from_slice(name);
    Ok(match command {
        Command::GetSession { connection } => {
            let session = hub.session_of(*connection).await?;
            reply::append(output, |writer| match session.as_deref() {
                None => writer.null(),
                Some([]) => writer.empty_array(),
                Some(session) => writer.serialized(session),
            })
        }
        Command::GetSessions => sessions(hub.sessions(None).await?, output),
        Command::GetSessionsByGroup { group } => {
            sessions(hub.sessions(Some(vec![name(group)])).await?, output)
        }
        Command::IsOnline { connection } => {
            let is_online = hub.is_online(*connection).await?;
            reply::append(output, |writer| writer.int(is_online.into()))
        }
        Command::GetClientsByUid { uid } => {
            let connection_ids = hub.clients_of_uid(&name(uid)).await?;
            reply::append(output, |writer| connections(writer, &connection_ids))
        }
        Command::GetClientsByUids { uids } => {
            let mut clients = Vec::with_capacity(uids.len());
            for uid in distinct(uids) {
                clients.push((uid, hub.clients_of_uid(&name(uid.as_bytes())).await?));
            }
            reply::append(output, |writer| {
                writer.array(clients.iter(), |writer, (uid, connection_ids)| {
                    writer.key(uid.as_bytes());
                    connections(writer, connection_ids);
                });
            })
        }
        Command::GetClientCount { group } => {
            let count = hub.count(group.map(|group| vec![name(group)])).await?;
            reply::append(output, |writer| writer.int(count as i64))
        }
        Command::GetClientCounts { groups } => {
            let mut counts = Vec::with_capacity(groups.len());
            for group in distinct(groups) {
                counts.push((group, hub.count(Some(vec![name(group.as_bytes())])).await?));
            }
            reply::append(output, |writer| {
                writer.array(counts.iter(), |writer, (group, count)| {
                    writer.key(group.as_bytes());
                    writer.int(*count as i64);
                });
            })
        }
        Command::Select(select) => profiles(select, hub, output).await?,
        Command::GetGroups => {
            let groups = hub.groups().await?;
            reply::append(output, |writer| writer.list(groups.iter(), |writer, group| writer.key(group)))
        }
        _ => Ok(()),
    })
}

async fn profiles(
    select: &FieldSelector,
    hub: &Hub,
    output: &mut Vec<u8>,
) -> Result<Result<(), PacketError>, Stopped> {
    let has = |field: &str| select.fields.iter().any(|one| one == field);
    let fields = ProfileFields {
        session: has(FieldSelector::SESSION),
        uid: has(FieldSelector::UID),
        groups: has(FieldSelector::GROUPS),
    };
    let names = |names: &Option<Vec<String>>| {
        names.iter().flatten().map(|name| Name::from_slice(name.as_bytes())).collect()
    };
    let who = match &select.of {
        of if of.is_everybody() => Selector::Everybody,
        of => Selector::AnyOf {
            groups: names(&of.groups),
            uids: names(&of.uid),
            connection_ids: of.connection_id.clone().unwrap_or_default(),
        },
    };
    let profiles = hub.profiles(who, fields).await?;
    Ok(reply::append(output, |writer| {
        writer.array(profiles.iter(), |writer, profile| {
            writer.int(profile.connection_id.into());
            writer.array(select.fields.iter(), |writer, field| {
                writer.string(field.as_bytes());
                value(writer, profile, field);
            });
        });
    }))
}

fn value(writer: &mut Writer, profile: &Profile, field: &str) {
    match field {
        FieldSelector::SESSION => writer.string(&profile.session),
        FieldSelector::UID if profile.uid.is_some() => {
            writer.string(profile.uid.as_deref().unwrap_or_default())
        }
        FieldSelector::GROUPS if !profile.groups.is_empty() => {
            writer.array(profile.groups.iter(), |writer, group| {
                writer.key(group);
                writer.string(group);
            });
        }
        _ => writer.null(),
    }
}

fn sessions(sessions: Vec<(u32, Bytes)>, output: &mut Vec<u8>) -> Result<(), PacketError> {
    reply::append(output, |writer| {
        writer.array(sessions.iter(), |writer, (connection_id, session)| {
            writer.int((*connection_id).into());
            writer.string(session);
        });
    })
}

fn connections(writer: &mut Writer, connection_ids: &[u32]) {
    writer.list(connection_ids.iter(), |writer, connection_id| writer.int((*connection_id).into()));
}

/// Gives each name once, as the names become the keys of a PHP array.
fn distinct(names: &[String]) -> impl Iterator<Item = &String> {
    let mut seen = hashbrown::HashSet::new();
    names.iter().filter(move |name| seen.insert(name.as_str()))
}
