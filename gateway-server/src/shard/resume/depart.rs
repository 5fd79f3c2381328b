//! Departures: a client comes back at another node of the cluster, which takes everything that is kept about it here.

use std::time::Instant;

use gateway_wire::client_protocol::{GapReason, ResumeOffer};
use serde_bytes::ByteBuf;

use super::super::clients::Clients;
use super::super::connection::Phase;
use super::super::detached_client::{DetachedClient, Names, NotDeparted, Resumable};
use super::super::event_sink::Client;
use super::super::rate_limit::RateLimit;
use super::super::state::Shard;

impl Clients {
    /// A client to which a page may come back.
    pub(crate) fn resumable(&self, key: usize) -> Resumable {
        Resumable {
            names: self.names_of(key),
            subject: self.subject_of(key).map(|subject| ByteBuf::from(subject.to_vec())),
            is_closed: !self.holds_its_number(key),
        }
    }

    /// The uid and groups of a client.
    fn names_of(&self, key: usize) -> Names {
        let Some(memberships) = self.connections[key].extra().map(|extra| &extra.memberships) else {
            return Names::default();
        };
        let bytes = |name: &[u8]| ByteBuf::from(name);
        let mut groups: Vec<_> = memberships.groups.iter().map(|group| bytes(group)).collect();
        groups.sort_unstable();
        Names { uid: memberships.uid.as_deref().map(bytes), groups }
    }
}

impl Shard {
    /// Gives a client to another node, which has bound it to `names` already. Here it is offline from now on, and its connection, if
    /// it still has one, is dropped unread. What workers hear of it is settled by [`Shard::settle_departed`].
    pub(in crate::shard) fn depart(
        &mut self,
        connection_id: u32,
        offer: &ResumeOffer,
        names: &Names,
    ) -> Result<Box<DetachedClient>, NotDeparted> {
        let key = self.clients.find(connection_id, offer)?;
        if !self.clients.holds_its_number(key) {
            // A client that PHP has closed is not moved: its rest and its close wait here.
            return Err(Some(GapReason::Closed));
        }
        if self.clients.names_of(key) != *names {
            return Err(None);
        }
        if !self.keep_pending(key) {
            self.end_parked(key, GapReason::Overflow);
            return Err(Some(GapReason::Overflow));
        }
        let resume = &mut self.clients.resume;
        let record = resume.record(key).ok_or(Some(GapReason::Unknown))?;
        if let Some(gap) = record.gap() {
            return Err(Some(gap));
        }
        let positions = record.positions();
        let secret = resume.secret_of(key, connection_id);
        let secrets = record.good_secrets().into_iter().map(|number| secret(number).to_text()).collect();
        let (_, entries) = record.unseen();
        let frame = |(index, messages): &(u32, u32)| {
            Some((ByteBuf::from(resume.kept.frame(*index)?.to_vec()), *messages))
        };
        let frames = entries.filter_map(frame).collect();
        let session = self.clients.connections[key]
            .extra()
            .map_or_else(Vec::new, |extra| extra.session.bytes().to_vec());
        let uid = names.uid.as_ref().map(|uid| &uid[..]);
        let subject = resume.subjects.of_token(key, uid);
        let listener = &self.settings.listeners[usize::from(self.clients.connections[key].listener)];
        let ahead = self.meters.ahead(key, RateLimit::of(listener), Instant::now());
        let client = DetachedClient::new(names.clone(), subject, &session, secrets, positions, frames, ahead);

        self.unplug(key);
        self.clients.forget(key);
        // Workers may still have to be told that the client has gone, with its session.
        self.clients.connections[key].extra_mut().session.set(&session);
        self.clients.connections[key].phase = Phase::Parked;
        let resume = &mut self.clients.resume;
        resume.parked.remove(key);
        resume.bury(connection_id, GapReason::Moved);
        resume.change(key, |record, kept| record.end(GapReason::Moved, |frame| kept.release(frame)));
        resume.departed.insert(connection_id, key as u32);
        Ok(Box::new(client))
    }

    /// Forgets a client that was given to another node. Workers are told that it has gone if that node has not taken it after all.
    pub(in crate::shard) fn settle_departed(&mut self, connection_id: u32, was_taken: bool) {
        let Some(key) = self.clients.resume.departed.remove(&connection_id) else { return };
        let key = key as usize;
        let client = Client::of(&self.clients.connections[key], &self.settings.ports);
        if was_taken {
            self.events.moved_away(&client);
        } else {
            self.events.closed(&client);
        }
        self.drop_connection(key);
    }
}
