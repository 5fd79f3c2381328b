//! Queries: what other threads may ask about the clients of a shard.

use std::iter::Sum;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hashbrown::HashSet;

use super::clients::Clients;
use super::connection::Connection;
use super::counts::ShardCounts;
use super::membership::NameTable;
use crate::net::RateLimitKey;
use crate::shard::Name;
use crate::system::injected_faults;

/// The clients that a query covers: all of them, or the members of some groups.
pub type Scope = Option<Vec<Name>>;

/// The clients that a query covers: all of them, or each that is in one of the groups, has one of the uids or one of the
/// connection ids.
#[derive(Clone, Debug)]
pub enum Selector {
    Everybody,
    AnyOf { groups: Vec<Name>, uids: Vec<Name>, connection_ids: Vec<u32> },
}

/// The fields that the caller needs of a [`Profile`]; the others stay empty.
#[derive(Clone, Copy, Debug)]
pub struct ProfileFields {
    pub session: bool,
    pub uid: bool,
    pub groups: bool,
}

/// The condition for the clients of a page: all fields that are given must match.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFilter {
    pub uid: Option<Name>,
    pub group: Option<Name>,
    pub address: Option<IpAddr>,
    /// A connection id: the random part of a client_id.
    pub connection_id: Option<u32>,
}

/// The position up to which somebody has read who reads all clients page by page: the shard, and the key of a connection in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub shard: usize,
    pub key: usize,
}

/// What an operator sees of a client.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// The connection id: the random part of the client_id.
    pub connection_id: u32,
    pub uid: Option<Bytes>,
    /// Some of the client's groups, of which there may be very many.
    pub groups: Vec<Bytes>,
    /// The number of all groups of the client.
    pub group_count: usize,
    pub address: Option<SocketAddr>,
    /// The listener that accepted the client: an index into the settings' list of listeners.
    pub listener: u8,
    /// The memory of what waits for the client, in bytes, as if no other client held the same frames.
    pub queued: usize,
    /// For how long the client has been without a connection, if it is.
    pub parked: Option<Duration>,
    /// The memory of what is kept for the client until it has seen it, in bytes, as if no other client held the same frames.
    pub kept: usize,
    /// Whether the client has come back once, so that its connection is younger than the client.
    pub has_returned: bool,
}

/// The largest number of groups that a [`ConnectionInfo`] names on a page of many.
const GROUPS: usize = 100;

/// The largest number of connections that are looked at for one answer.
const LOOKS: usize = 10_000;

/// What PHP asks about a client: its session, uid and groups.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The connection id: the random part of the client_id.
    pub connection_id: u32,
    pub session: Bytes,
    pub uid: Option<Bytes>,
    pub groups: Vec<Bytes>,
}

/// What has become of messages, each of which one client was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The clients whose kernel, or that of a proxy, has taken everything.
    pub taken: usize,
    /// The clients for which something waits here while they are connected.
    pub queued: usize,
    /// The clients that are parked, and get everything when they come back.
    pub parked: usize,
    /// The clients that are not online any more.
    pub gone: usize,
}

impl Sum for Delivery {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |one, other| Self {
            taken: one.taken + other.taken,
            queued: one.queued + other.queued,
            parked: one.parked + other.parked,
            gone: one.gone + other.gone,
        })
    }
}

impl Clients {
    /// Gives those of the clients that are online and speak `gateway.2`.
    pub(crate) fn pages(&self, connection_ids: &[u32]) -> Vec<u32> {
        let is_page =
            |id: &u32| self.key(*id).is_some_and(|key| self.connections[key].encoding.is_gateway2());
        connection_ids.iter().copied().filter(is_page).collect()
    }

    /// Gives those of the clients whose sockets have taken all that they were sent.
    pub(crate) fn written(&self, connection_ids: &[u32]) -> Vec<u32> {
        let is_written = |id: &u32| self.key(*id).is_some_and(|key| self.connections[key].is_written());
        connection_ids.iter().copied().filter(is_written).collect()
    }

    /// What has become of everything that these clients were sent.
    pub(crate) fn delivery(&self, connection_ids: &[u32]) -> Delivery {
        let mut delivery = Delivery::default();
        for connection_id in connection_ids {
            let connection = self.key(*connection_id).map(|key| &self.connections[key]);
            *match connection {
                None => &mut delivery.gone,
                Some(connection) if !connection.is_connected() => &mut delivery.parked,
                Some(connection) if !connection.is_written() => &mut delivery.queued,
                Some(_) => &mut delivery.taken,
            } += 1;
        }
        delivery
    }

    pub(crate) fn is_online(&self, connection_id: u32) -> bool {
        self.key(connection_id).is_some()
    }

    pub(crate) fn is_uid_online(&self, uid: &[u8]) -> bool {
        self.uids.is_held(uid)
    }

    pub(crate) fn clients_of_uid(&self, uid: &[u8]) -> Vec<u32> {
        injected_faults::strike("question");
        self.uids.holders(uid).map(|key| self.connections[key].connection_id).collect()
    }

    /// The uid of a client, or `None` if it is not online or not bound.
    pub(crate) fn uid_of(&self, connection_id: u32) -> Option<Bytes> {
        uid_of(&self.connections[self.key(connection_id)?]).map(Bytes::copy_from_slice)
    }

    /// The uid by which a client is known to itself: the one that its own connect token has named, or else the one that it is bound
    /// to.
    pub(crate) fn subject_of(&self, key: usize) -> Option<Bytes> {
        let subject = self.resume.subjects.of(key).or_else(|| uid_of(self.connections.get(key)?));
        subject.map(Bytes::copy_from_slice)
    }

    /// The session of a client, or `None` if it is not online.
    pub(crate) fn session_of(&self, connection_id: u32) -> Option<Bytes> {
        Some(session_of(&self.connections[self.key(connection_id)?]))
    }

    pub(crate) fn count(&self, scope: &Scope) -> usize {
        match scope.as_deref() {
            None => self.online().len(),
            Some([group]) => self.groups.count(group),
            Some(_) => self.within(scope).count(),
        }
    }

    pub(crate) fn counts_of(&self, groups: &[Name]) -> Vec<usize> {
        groups.iter().map(|group| self.groups.count(group)).collect()
    }

    pub(crate) fn connection_ids(&self, scope: &Scope) -> Vec<u32> {
        self.within(scope).map(|connection| connection.connection_id).collect()
    }

    pub(crate) fn sessions(&self, scope: &Scope) -> Vec<(u32, Bytes)> {
        self.within(scope).map(|connection| (connection.connection_id, session_of(connection))).collect()
    }

    /// All uids in the scope, each once.
    pub(crate) fn uids(&self, scope: &Scope) -> Vec<Bytes> {
        match scope {
            None => self.uids.names().map(Bytes::copy_from_slice).collect(),
            Some(_) => distinct_uids(self.within(scope)),
        }
    }

    pub(crate) fn groups(&self) -> Vec<Bytes> {
        self.groups.names().map(Bytes::copy_from_slice).collect()
    }

    /// All groups, each with the connection ids of its clients.
    pub(crate) fn group_clients(&self) -> Vec<(Bytes, Vec<u32>)> {
        self.each_group(|members| members.map(|connection| connection.connection_id).collect())
    }

    pub(crate) fn group_counts(&self) -> Vec<(Bytes, usize)> {
        self.groups.names().map(|group| (Bytes::copy_from_slice(group), self.groups.count(group))).collect()
    }

    /// All groups, each with the uids of its clients; every uid stands once in a group.
    pub(crate) fn group_uids(&self) -> Vec<(Bytes, Vec<Bytes>)> {
        self.each_group(|members| distinct_uids(members))
    }

    /// The profiles of all clients that the selector covers, each client once.
    pub(crate) fn profiles(&self, who: &Selector, fields: ProfileFields) -> Vec<Profile> {
        let profile = |key: usize| profile(&self.connections[key], fields);
        match who {
            Selector::Everybody => self.online().map(profile).collect(),
            Selector::AnyOf { groups, uids, connection_ids } => {
                let mut seen = HashSet::new();
                let of_groups = groups.iter().flat_map(|group| self.groups.holders(group));
                let of_uids = uids.iter().flat_map(|uid| self.uids.holders(uid));
                let of_connections =
                    connection_ids.iter().filter_map(|connection_id| self.key(*connection_id));
                let keys = of_groups.chain(of_uids).chain(of_connections);
                keys.filter(move |key| seen.insert(*key)).map(profile).collect()
            }
        }
    }

    /// The clients that match the filter, at most `limit` of them, in the order of their keys from `from` on. This looks at a
    /// bounded number of connections, so that others do not wait long, and gives the key at which to go on, or `None` at the end.
    pub(crate) fn page(
        &self,
        filter: &ConnectionFilter,
        from: usize,
        limit: usize,
    ) -> (Vec<ConnectionInfo>, Option<usize>) {
        let held = |names: &NameTable, name: &Name| {
            let mut keys: Vec<_> = names.holders(name).filter(|key| *key >= from).collect();
            keys.sort_unstable();
            keys.into_iter()
        };
        let keys: Box<dyn Iterator<Item = usize>> = match (filter.connection_id, &filter.uid, &filter.group) {
            (Some(connection_id), ..) => {
                Box::new(self.key(connection_id).filter(|key| *key >= from).into_iter())
            }
            (None, Some(uid), _) => Box::new(held(&self.uids, uid)),
            (None, None, Some(group)) => Box::new(held(&self.groups, group)),
            (None, None, None) => Box::new(from..self.connections.capacity()),
        };
        let mut infos = Vec::new();
        for (looked, key) in keys.enumerate() {
            if infos.len() == limit || looked == LOOKS {
                return (infos, Some(key));
            }
            let online = self.connections.get(key).filter(|_| self.holds_its_number(key));
            let shown = online.filter(|connection| filter.lets_through(connection));
            infos.extend(shown.map(|connection| self.connection_info(key, connection, GROUPS)));
        }
        (infos, None)
    }

    /// What is known of a client, with all of its groups, or `None` if it is not online.
    pub(crate) fn client_info(&self, connection_id: u32) -> Option<ConnectionInfo> {
        let key = self.key(connection_id)?;
        Some(self.connection_info(key, &self.connections[key], usize::MAX))
    }

    /// The client that is parked for longest, of all or of those from an address: its key and connection id, and since when.
    pub(crate) fn longest_parked(&self, address: Option<RateLimitKey>) -> Option<(Instant, usize, u32)> {
        let (key, since) = self.resume.parked.longest(address)?;
        Some((since, key, self.connections.get(key)?.connection_id))
    }

    /// What is known of a connection, with some of its groups.
    fn connection_info(&self, key: usize, connection: &Connection, most_groups: usize) -> ConnectionInfo {
        let groups = connection.extra().map_or(&[][..], |extra| &extra.memberships.groups);
        ConnectionInfo {
            connection_id: connection.connection_id,
            uid: uid_of(connection).map(Bytes::copy_from_slice),
            groups: groups.iter().take(most_groups).map(|group| Bytes::copy_from_slice(group)).collect(),
            group_count: groups.len(),
            address: connection.peer(),
            listener: connection.listener,
            queued: connection.waiting_bytes(),
            parked: self.resume.parked.get(key).map(|parked| parked.since.elapsed()),
            kept: self.resume.record(key).map_or(0, |record| record.weight()),
            has_returned: connection.has_returned,
        }
    }

    fn each_group<'a, T>(
        &'a self,
        collect: impl Fn(&mut dyn Iterator<Item = &'a Connection>) -> Vec<T>,
    ) -> Vec<(Bytes, Vec<T>)> {
        let groups = &self.groups;
        let members = |group| groups.holders(group).map(|key| &self.connections[key]);
        groups.names().map(|group| (Bytes::copy_from_slice(group), collect(&mut members(group)))).collect()
    }

    /// The connections in the scope, each once.
    fn within<'a>(&'a self, scope: &'a Scope) -> Box<dyn Iterator<Item = &'a Connection> + 'a> {
        match scope {
            None => Box::new(self.online().map(|key| &self.connections[key])),
            Some(groups) => {
                let mut seen = HashSet::new();
                let keys = groups.iter().flat_map(|group| self.groups.holders(group));
                Box::new(keys.filter(move |key| seen.insert(*key)).map(|key| &self.connections[key]))
            }
        }
    }
}

impl ConnectionFilter {
    fn lets_through(&self, connection: &Connection) -> bool {
        let is_in = |group: &Name| {
            let extra = connection.extra();
            extra.is_some_and(|extra| extra.memberships.groups.iter().any(|joined| **joined == **group))
        };
        let is_uid = |uid: &Name| {
            let bound = connection.extra().and_then(|extra| extra.memberships.uid.as_deref());
            bound == Some(&**uid)
        };
        // All conditions have to hold. The address comes last, because finding it takes a system call.
        self.uid.as_ref().is_none_or(is_uid)
            && self.group.as_ref().is_none_or(is_in)
            && self.address.is_none_or(|address| connection.peer().is_some_and(|peer| peer.ip() == address))
    }
}

fn profile(connection: &Connection, fields: ProfileFields) -> Profile {
    let groups = connection.extra().map_or(&[][..], |extra| &extra.memberships.groups);
    Profile {
        connection_id: connection.connection_id,
        session: if fields.session { session_of(connection) } else { Bytes::new() },
        uid: uid_of(connection).filter(|_| fields.uid).map(Bytes::copy_from_slice),
        groups: if fields.groups {
            groups.iter().map(|group| Bytes::copy_from_slice(group)).collect()
        } else {
            Vec::new()
        },
    }
}

fn uid_of(connection: &Connection) -> Option<&[u8]> {
    connection.extra()?.memberships.uid.as_deref()
}

fn session_of(connection: &Connection) -> Bytes {
    connection.extra().map_or_else(Bytes::new, |extra| Bytes::copy_from_slice(extra.session.bytes()))
}

fn distinct_uids<'a>(connections: impl Iterator<Item = &'a Connection>) -> Vec<Bytes> {
    let uids: HashSet<&[u8]> = connections.filter_map(uid_of).collect();
    uids.into_iter().map(Bytes::copy_from_slice).collect()
}

impl Clients {
    pub(crate) fn census(&self) -> ShardCounts {
        let slow = self.slow.iter().filter_map(|key| self.connections.get(*key as usize));
        let slow = slow.filter(|connection| connection.has_outbox()).count();
        ShardCounts {
            counts: self.counts,
            clients: self.online().len(),
            clients_by_door: self.online_by_listener.clone(),
            parked: self.resume.parked.len(),
            kept: self.resume.kept.bytes(),
            resume: self.resume.counts,
            slow,
            partial: self.partial_bytes(),
        }
    }

    /// The number of connections, the number of those over TLS, and the bytes that wait for them, have come in part or are kept.
    pub(crate) fn to_carry(&self) -> (usize, usize, usize) {
        let tls = self.connections.iter().filter(|(_, connection)| connection.is_tls).count();
        let bytes = self.held.bytes() + self.partial_bytes() + self.resume.kept.bytes();
        (self.connections.len(), tls, bytes)
    }

    pub(super) fn count_online(&mut self, listener: u8) {
        let listener = usize::from(listener);
        if listener >= self.online_by_listener.len() {
            self.online_by_listener.resize(listener + 1, 0);
        }
        self.online_by_listener[listener] += 1;
    }
}
