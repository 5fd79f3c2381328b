//! The answer to each query from the clients of this node.

use std::hash::Hash;

use bytes::Bytes;
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, PhpStr, Query};
use hashbrown::HashMap;
use serde::Serialize;
use serde_bytes::Bytes as Raw;

use super::{Gateway, ServiceError};
use crate::cluster::WITHOUT_CLIENTS;
use crate::shard::{Name, Scope, Stopped};

/// The receiver of the answer to one query.
pub trait Answers {
    fn answer(&mut self, value: &impl Serialize);

    /// Says why there is no answer.
    fn fail(&mut self, message: String);
}

impl Gateway {
    /// Answers a query, from all nodes of the cluster. It sees every earlier order of the same PHP process.
    pub async fn query(&self, query: &Query<'_>, answers: &mut impl Answers) -> Result<(), Stopped> {
        let answer = match (query, &self.cluster) {
            (Query::Delivered { id }, _) => self.delivered(*id).await,
            (Query::Replies { id, wait }, _) => self.replies(*id, *wait).await,
            (Query::Receipt { id }, _) => self.receipt(id).await,
            (Query::InboxOf { uid }, _) => self.inbox_of(uid).await,
            (_, Some(cluster)) => self.query_everywhere(cluster, query).await,
            (_, None) => return self.query_here(query, answers).await,
        };
        match answer {
            Ok(value) => answers.answer(&value),
            Err(message) => answers.fail(message),
        }
        Ok(())
    }

    /// Answers a query of another node from the clients of this one, and from those that have gone on elsewhere.
    pub async fn answer(&self, query: &Query<'_>) -> Result<AnswerValue, String> {
        if let (Some(cluster), Some(moved)) = (&self.cluster, self.query_about_moved(query)) {
            return self.query_client(cluster, &moved).await;
        }
        match self.query_value_here(query).await {
            Ok((value, _)) => Ok(value),
            Err(ServiceError::Stopped) => Err(WITHOUT_CLIENTS.to_owned()),
            Err(failed) => Err(failed.to_string()),
        }
    }

    /// Answers a query from the clients of this node.
    pub async fn query_here(&self, query: &Query<'_>, answers: &mut impl Answers) -> Result<(), Stopped> {
        let hub = &self.hub;
        let names = |names: &[PhpStr]| names.iter().map(|name| Name::from_slice(name)).collect::<Vec<_>>();
        let scope = |groups: &Option<Vec<PhpStr>>| -> Scope { groups.as_deref().map(names) };
        match query {
            Query::IsOnline { client } => {
                let is_online = match self.local(*client) {
                    Some(connection_id) => hub.is_online(connection_id).await?,
                    None => false,
                };
                answers.answer(&is_online);
            }
            Query::IsUidOnline { uid } => {
                answers.answer(&hub.is_uid_online(&Name::from_slice(uid)).await?);
            }
            Query::ClientsOfUid { uid } => {
                let connection_ids = hub.clients_of_uid(&Name::from_slice(uid)).await?;
                answers.answer(&self.ids(&connection_ids));
            }
            Query::ClientCount {} => answers.answer(&hub.count(None).await?),
            Query::AreUidsOnline { uids } => {
                let mut online = Vec::with_capacity(uids.len());
                for uid in names(uids) {
                    online.push(hub.is_uid_online(&uid).await?);
                }
                answers.answer(&online);
            }
            Query::ClientsOfUids { uids } => {
                let mut clients = Vec::with_capacity(uids.len());
                for uid in names(uids) {
                    clients.push(self.ids(&hub.clients_of_uid(&uid).await?));
                }
                answers.answer(&clients);
            }
            Query::UidOfClient { client } => {
                let uid = match self.local(*client) {
                    Some(connection_id) => hub.uid_of(connection_id).await?,
                    None => None,
                };
                answers.answer(&uid.as_deref().map(Raw::new));
            }
            Query::ProofOfClient { client } => {
                let proof = match self.local(*client) {
                    Some(connection_id) => hub.proof_of(connection_id).await?,
                    None => None,
                };
                answers.answer(&proof.as_deref().map(|proof| Raw::new(proof.as_bytes())));
            }
            Query::Session { client } => {
                let session = match self.local(*client) {
                    Some(connection_id) => hub.session_of(connection_id).await?,
                    None => None,
                };
                answers.answer(&session.as_deref().map(Raw::new));
            }
            Query::ClientInfo { client } => {
                let info = match self.local(*client) {
                    Some(connection_id) => self.client_info(connection_id).await?,
                    None => AnswerValue::Null,
                };
                answers.answer(&info);
            }
            Query::Clients { groups } => {
                answers.answer(&self.ids(&hub.clients(scope(groups)).await?));
            }
            Query::ClientCountOfEach { groups } => {
                answers.answer(&hub.counts_of(&names(groups)).await?);
            }
            Query::Sessions { groups } => {
                let sessions: HashMap<_, _> = hub.sessions(scope(groups)).await?.into_iter().collect();
                answers.answer(&mapped(
                    &sessions,
                    |connection_id| self.id(*connection_id),
                    |session| Raw::new(session),
                ));
            }
            Query::Uids { groups } => answers.answer(&raw(&hub.uids(scope(groups)).await?)),
            Query::UidCount { groups } => answers.answer(&hub.uids(scope(groups)).await?.len()),
            Query::Groups {} => answers.answer(&raw(&hub.groups().await?)),
            Query::GroupClients {} => {
                let groups = hub.group_clients().await?;
                answers.answer(&mapped(
                    &groups,
                    |group| Raw::new(group),
                    |connection_ids| self.ids(connection_ids),
                ));
            }
            Query::GroupClientCounts {} => {
                let groups = hub.group_counts().await?;
                answers.answer(&mapped(&groups, |group| Raw::new(group), |count| *count));
            }
            Query::GroupUids {} => {
                let groups = hub.group_uids().await?;
                answers.answer(&mapped(&groups, |group| Raw::new(group), raw));
            }
            Query::GroupUidCounts {} => {
                let groups = hub.group_uids().await?;
                answers.answer(&mapped(&groups, |group| Raw::new(group), |uids| uids.len()));
            }
            Query::Delivered { .. } | Query::Replies { .. } => {
                answers.answer(&self.tracked_here(query).await?)
            }
            // The store is that of the node that was asked.
            Query::Receipt { .. } | Query::InboxOf { .. } => answers.answer(&AnswerValue::Null),
            Query::Nodes {} => answers.answer(&[Raw::new(self.node.to_string().as_bytes())]),
            Query::Never(never, _) => match *never {},
        }
        Ok(())
    }

    pub(super) fn id(&self, connection_id: u32) -> ClientId {
        ClientId::new(self.node, connection_id)
    }

    fn ids(&self, connection_ids: &[u32]) -> Vec<ClientId> {
        connection_ids.iter().map(|connection_id| self.id(*connection_id)).collect()
    }
}

fn raw<'a>(names: impl IntoIterator<Item = &'a Bytes>) -> Vec<&'a Raw> {
    names.into_iter().map(|name| Raw::new(name)).collect()
}

/// Converts a map's keys and values to the form that they have on the wire.
fn mapped<'a, K: 'a, V: 'a, Key: Serialize + Eq + Hash, Value: Serialize>(
    map: &'a HashMap<K, V>,
    key: impl Fn(&'a K) -> Key,
    value: impl Fn(&'a V) -> Value,
) -> std::collections::HashMap<Key, Value> {
    map.iter().map(|(k, v)| (key(k), value(v))).collect()
}
