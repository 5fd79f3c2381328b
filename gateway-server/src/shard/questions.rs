//! What others may ask about the clients of a shard.

use bytes::Bytes;
use hashbrown::HashSet;

use super::Name;
use super::clients::Clients;
use super::connection::Connection;

/// Everybody, or the members of some groups.
pub type Scope = Option<Vec<Name>>;

impl Clients {
    pub(super) fn is_online(&self, number: u32) -> bool {
        self.key(number).is_some()
    }

    pub(super) fn is_uid_online(&self, uid: &[u8]) -> bool {
        self.uids.is_held(uid)
    }

    pub(super) fn clients_of_uid(&self, uid: &[u8]) -> Vec<u32> {
        self.uids.holders(uid).map(|key| self.connections[key].number).collect()
    }

    /// `None` for a client that is not online or not bound.
    pub(super) fn uid_of(&self, number: u32) -> Option<Bytes> {
        uid_of(&self.connections[self.key(number)?]).map(Bytes::copy_from_slice)
    }

    /// `None` for a client that is not online.
    pub(super) fn session_of(&self, number: u32) -> Option<Bytes> {
        Some(session_of(&self.connections[self.key(number)?]))
    }

    pub(super) fn count(&self, scope: &Scope) -> usize {
        match scope.as_deref() {
            None => self.online().len(),
            Some([group]) => self.groups.count(group),
            Some(_) => self.within(scope).count(),
        }
    }

    pub(super) fn numbers(&self, scope: &Scope) -> Vec<u32> {
        self.within(scope).map(|connection| connection.number).collect()
    }

    pub(super) fn sessions(&self, scope: &Scope) -> Vec<(u32, Bytes)> {
        self.within(scope).map(|connection| (connection.number, session_of(connection))).collect()
    }

    /// Each uid once.
    pub(super) fn uids(&self, scope: &Scope) -> Vec<Bytes> {
        match scope {
            None => self.uids.names().map(Bytes::copy_from_slice).collect(),
            Some(_) => distinct_uids(self.within(scope)),
        }
    }

    pub(super) fn groups(&self) -> Vec<Bytes> {
        self.groups.names().map(Bytes::copy_from_slice).collect()
    }

    /// Every group with its clients.
    pub(super) fn group_clients(&self) -> Vec<(Bytes, Vec<u32>)> {
        self.each_group(|members| members.map(|connection| connection.number).collect())
    }

    pub(super) fn group_counts(&self) -> Vec<(Bytes, usize)> {
        self.groups.names().map(|group| (Bytes::copy_from_slice(group), self.groups.count(group))).collect()
    }

    /// Every group with the uids of its clients, each once.
    pub(super) fn group_uids(&self) -> Vec<(Bytes, Vec<Bytes>)> {
        self.each_group(|members| distinct_uids(members))
    }

    fn each_group<'a, T>(
        &'a self,
        collect: impl Fn(&mut dyn Iterator<Item = &'a Connection>) -> Vec<T>,
    ) -> Vec<(Bytes, Vec<T>)> {
        let groups = &self.groups;
        let members = |group| groups.holders(group).map(|key| &self.connections[key]);
        groups.names().map(|group| (Bytes::copy_from_slice(group), collect(&mut members(group)))).collect()
    }

    /// Each connection of a scope once.
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
