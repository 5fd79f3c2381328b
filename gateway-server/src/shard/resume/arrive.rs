//! Arrivals: a client comes here from another node of the cluster. It is bound to its names first and keeps what is sent to it, until
//! the other node gives what it has kept; then it goes on as one client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_wire::client_protocol::{GapReason, ResumeSecret, ServerEnd};

use super::super::arrival::{Arrival, Arrived};
use super::super::command::NewConnection;
use super::super::connection::{Connection, Phase};
use super::super::detached_client::DetachedClient;
use super::super::event_sink::{Client, Welcome};
use super::super::origin::Contained;
use super::super::state::Shard;
use super::kept::cost;
use super::table::{ClientRecord, is_too_much};
use crate::net::peer_address;

/// The largest number of secrets by which a page may come back.
pub(super) const MOST_SECRETS: u32 = 64;

/// The time within which the other node gives the client, at most.
const PATIENCE: Duration = Duration::from_secs(30);

impl Shard {
    /// Makes room for a client that another node is about to give. Gives false if there is none.
    pub(in crate::shard) fn await_arrival(&mut self, connection_id: u32, arrival: Arrival) -> bool {
        let Arrival { uid, groups, encoding, listener } = arrival;
        if self.is_stopping() || !self.clients.has_room_for_one() || self.clients.key(connection_id).is_some()
        {
            return false;
        }
        let connection = Connection::without_socket(connection_id, encoding, listener);
        let key = self.clients.add_online(connection);
        self.clients.connections[key].phase = Phase::Parked;
        let came = self.clients.counts.came;
        let resume = &mut self.clients.resume;
        resume.begin(key, connection_id, came, true, false);
        resume.arriving.insert(key, Vec::new());
        let now = Instant::now();
        resume.parked.insert(key, now, now + PATIENCE, None);
        self.clients.bind_all(key, uid, groups, self.settings.server.max_groups());
        true
    }

    /// Forgets a client that has not come.
    pub(in crate::shard) fn abandon_arrival(&mut self, connection_id: u32) {
        if let Some(key) = self.clients.key(connection_id)
            && self.clients.resume.arriving.contains_key(&key)
        {
            self.drop_connection(key);
        }
    }

    /// Completes a client with what the other node has given, and gives it its connection. Gives whether the client is here now; a page
    /// that cannot have it at this moment is asked to try again.
    pub(in crate::shard) fn complete_arrival(
        &mut self,
        connection_id: u32,
        arrived: Arrived,
        new_connection: NewConnection,
    ) -> bool {
        let Arrived { offer, client, contained } = arrived;
        let key = self.clients.key(connection_id).filter(|key| self.clients.resume.is_arriving(*key));
        let joined =
            key.filter(|key| self.keep_pending(*key) && self.join_records(*key, &client, &contained));
        let Some(key) = joined else {
            self.abandon_arrival(connection_id);
            self.turn_away(connection_id, new_connection);
            return false;
        };
        self.clients.resume.arriving.remove(&key);
        // Workers hear of the client before it has its connection.
        let peer = new_connection.address.or_else(|| peer_address(&new_connection.socket));
        self.clients.connections[key].extra_mut().rare_mut().address = peer;
        self.wait_for_return(key);
        if let Some(subject) = &client.subject {
            self.clients.resume.subjects.keep(key, Some(&Arc::from(&subject[..])));
        }
        self.meters.take_over(key, client.ahead, Instant::now());
        self.clients.connections[key].extra_mut().session.set(&client.session);
        self.clients.connections[key].slim();
        // The other node's workers know the client by its newest client_id there.
        let old = client.known_as().last().unwrap_or(offer.secret.client());
        let told = Client::of(&self.clients.connections[key], &self.settings.ports);
        if self.events.moved(&told, old) == Welcome::Refused {
            self.turn_away(connection_id, new_connection);
            self.end_parked(key, GapReason::Closed);
            return true;
        }
        self.come_back(connection_id, &offer, new_connection);
        true
    }

    /// Makes one record of what the other node has given and what has come here since.
    fn join_records(&mut self, key: usize, client: &DetachedClient, contained: &Contained) -> bool {
        let resume = &mut self.clients.resume;
        let (Some(collected), Some(origins)) = (resume.records.remove(key), resume.arriving.get(&key)) else {
            return false;
        };
        resume.kept.change(collected.memory(), 0);
        let latest = collected.latest_secret();
        let is_whole = collected.gap().is_none();
        let (_, entries) = collected.unseen();
        let mut entries: Vec<_> = entries.zip(origins).map(|(entry, origin)| (*entry, *origin)).collect();
        let before: Vec<_> = client
            .frames
            .iter()
            .map(|(frame, messages)| {
                let frame = bytes::Bytes::copy_from_slice(frame);
                let weight = cost(&frame);
                (resume.kept.insert(frame), *messages, weight)
            })
            .collect();
        // The secrets of the other node are numbered from here on, and those of this node behind them.
        let secrets: Vec<ResumeSecret> =
            client.secrets.iter().filter_map(|secret| secret.parse().ok()).collect();
        let room = u32::try_from(secrets.len()).ok().filter(|room| (1..=MOST_SECRETS).contains(room));
        let numbers = room.and_then(|room| Some((latest, latest.checked_add(room - 1)?)));
        // Without secrets, or without numbers for them, nobody can come.
        let (proven, newest) = numbers.unwrap_or((latest, latest));
        let kept = &mut resume.kept;
        let joined: Option<ClientRecord> =
            ServerEnd::taken_over(client.positions(), before, proven, newest, |frame| kept.release(frame));
        let Some(mut record) = joined else {
            for ((frame, _), _) in entries.drain(..) {
                kept.release(frame);
            }
            return false;
        };
        for ((frame, messages), origin) in entries {
            if contained.has(origin) {
                kept.release(frame);
            } else {
                let weight = kept.frame(frame).map_or(0, cost);
                record.send(frame, messages, weight, |frame| kept.release(frame));
            }
        }
        if !is_whole {
            record.end(GapReason::Overflow, |frame| kept.release(frame));
        }
        kept.change(0, record.memory());
        let listener = &self.settings.listeners[usize::from(self.clients.connections[key].listener)];
        let fits = !is_too_much(&record, listener);
        let resume = &mut self.clients.resume;
        resume.records.insert(key, record);
        resume.foreign.insert(key, (proven, secrets));
        is_whole && fits
    }
}
