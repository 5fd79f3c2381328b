//! The delivery of all uids.

use std::collections::VecDeque;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};

use crate::inbox::model::{Device, Millis, NewMessage, PageRequest, WaitingPage};
use crate::inbox::store::{Arrival, News, Operation, Outcome};

use super::bound::{Binding, Bound, Stage};
use super::output::{Content, Sending};
use super::uid_delivery::UidDelivery;

/// The operations that wait for the store at most. While it fails, acknowledgements beyond them are forgotten, and their messages come
/// again.
const OPERATIONS: usize = 100_000;
/// The operations that are taken for one transaction at most.
const ROWS: usize = 1000;

/// The connections that are bound to uids, and how far each has come.
#[derive(Default)]
pub(in crate::inbox) struct Delivery {
    uids: HashMap<Bytes, Box<UidDelivery>>,
    /// The uid of each connection.
    connections: HashMap<u32, Bytes>,
    /// The connections of which the store is not told yet.
    arriving: VecDeque<u32>,
    /// The connections that are read for.
    reading: VecDeque<u32>,
    /// The connections for which nothing could be read.
    read_later: Vec<u32>,
    following: HashSet<u32>,
    /// The connections without acknowledgements that were sent something which the kernel may not have taken.
    untaken: HashSet<u32>,
    operations: VecDeque<Operation>,
    /// The connections whose arrival stands at the front of the transaction under way, and the operations behind them.
    under_way: (Vec<u32>, Vec<Operation>),
    sendings: Vec<Sending>,
}

impl Delivery {
    /// Takes a connection that is bound to a uid now, in place of the uid that it may have had.
    pub(in crate::inbox) fn bound(&mut self, binding: Binding) {
        let Binding { connection, uid, device, is_page } = binding;
        if self.connections.get(&connection).is_some_and(|before| *before == uid) {
            return;
        }
        self.left(connection, false, 0);
        // Uids come in buffers of what was read, which would else be kept.
        let uid = self.uids.get_key_value(&uid).map_or(uid, |(known, _)| known.clone());
        let entry = self.uids.entry(uid.clone()).or_default();
        entry.add(Bound::new(connection, device, is_page));
        self.connections.insert(connection, uid);
        self.arriving.push_back(connection);
    }

    /// Takes that a connection has gone or has no uid any more. `has_taken_all` says that the kernel has taken all that it was sent.
    pub(in crate::inbox) fn left(&mut self, connection: u32, has_taken_all: bool, now: Millis) {
        if has_taken_all {
            self.taken(connection, now);
        }
        let Some(uid) = self.connections.remove(&connection) else { return };
        self.untaken.remove(&connection);
        self.following.remove(&connection);
        let Some(entry) = self.uids.get_mut(&uid) else { return };
        let removed = entry.remove(connection);
        if entry.is_empty() {
            self.uids.remove(&uid);
        } else if let Some((device, successor)) = removed {
            if let Some(successor) = successor {
                self.following.remove(&successor);
                self.read_for(&uid, successor);
            }
            self.follow(&uid, &device);
            self.confirm(&uid, &device);
        }
    }

    /// Takes that a client has lost its connection: nobody waits for what it has not acknowledged.
    pub(in crate::inbox) fn parked(&mut self, connection: u32) {
        let entry = self.connections.get(&connection).and_then(|uid| self.uids.get_mut(uid));
        entry.and_then(|entry| entry.connection(connection)).into_iter().for_each(Bound::stall);
    }

    /// Takes the acknowledgement of a page.
    pub(in crate::inbox) fn got(&mut self, connection: u32, epoch: u64, seq: u64, now: Millis) {
        let Some(uid) = self.connections.get(&connection).cloned() else { return };
        let Some(entry) = self.uids.get_mut(&uid).filter(|entry| entry.epoch == Some(epoch)) else { return };
        let Some(bound) = entry.connection(connection) else { return };
        let Some(seq) = bound.acknowledge(seq, now) else { return };
        let device = bound.device.clone();
        if entry.acknowledged(&device, seq) {
            self.follow(&uid, &device);
            self.confirm(&uid, &device);
        }
        self.read_for(&uid, connection);
    }

    /// Takes that the user of a page has read a message.
    pub(in crate::inbox) fn read(&mut self, connection: u32, epoch: u64, seq: u64) {
        let Some(uid) = self.connections.get(&connection).cloned() else { return };
        let Some(entry) = self.uids.get_mut(&uid).filter(|entry| entry.epoch == Some(epoch)) else { return };
        if let Some(bound) = entry.connection(connection).filter(|bound| seq <= bound.sent) {
            let device = bound.device.clone();
            self.add(Operation::Read { uid, device, epoch, seq });
        }
    }

    /// Takes that the kernel has taken all that a connection without acknowledgements was sent.
    pub(in crate::inbox) fn taken(&mut self, connection: u32, now: Millis) {
        if !self.untaken.remove(&connection) {
            return;
        }
        let Some(entry) = self.connections.get(&connection).and_then(|uid| self.uids.get_mut(uid)) else {
            return;
        };
        if let (Some(epoch), Some(sent)) = (entry.epoch, entry.connection(connection).map(|bound| bound.sent))
        {
            self.got(connection, epoch, sent, now);
        }
    }

    /// Says whether there are connections without acknowledgements that were sent something which the kernel may not have taken.
    pub(in crate::inbox) fn has_untaken(&self) -> bool {
        !self.untaken.is_empty()
    }

    /// Gives the connections without acknowledgements that were sent something which the kernel may not have taken.
    pub(in crate::inbox) fn untaken(&self) -> Vec<u32> {
        self.untaken.iter().copied().collect()
    }

    /// Takes that the store has this message now.
    pub(in crate::inbox) fn stored(&mut self, message: &NewMessage, epoch: u64, seq: u64, now: Millis) {
        let Some((uid, entry)) = self.uids.get_key_value(&message.uid) else { return };
        let uid = uid.clone();
        if entry.epoch.is_some_and(|known| known != epoch) {
            self.forgotten(&uid);
        }
        let Some(entry) = self.uids.get_mut(&uid) else { return };
        (entry.epoch, entry.tail) = (Some(epoch), seq);
        let (mut pages, mut others, mut devices) = (Vec::new(), Vec::new(), Vec::new());
        for bound in entry.live() {
            // Of a store that others share, a page may hold what its news tell later.
            if bound.sent >= seq {
                continue;
            }
            if bound.room().is_none() {
                bound.stage = Stage::Reading { kept_until: Some(bound.sent) };
                continue;
            }
            bound.sends(seq, message.payload.len(), now);
            let receivers = if bound.is_page { &mut pages } else { &mut others };
            receivers.push(bound.connection);
            devices.push(bound.device.clone());
        }
        self.untaken.extend(&others);
        devices.dedup();
        devices.into_iter().for_each(|device| self.written(&uid, &device, epoch, seq));
        for (connections, is_for_pages) in [(pages, true), (others, false)] {
            if !connections.is_empty() {
                let content = Content::Message {
                    is_new: true,
                    epoch,
                    seq,
                    id: message.id.clone(),
                    payload: message.payload.clone(),
                    is_binary: message.is_binary,
                };
                self.sendings.push(Sending { uid: uid.clone(), connections, is_for_pages, content });
            }
        }
    }

    /// Takes what a store that several servers share tells. It tells that later than a page that was read meanwhile, but in order.
    pub(in crate::inbox) fn hear(&mut self, news: News, now: Millis) {
        match news {
            News::Stored { message, seq } => {
                // Whoever has come since knows of everything up to the tail.
                let Some(entry) = self.uids.get_mut(&message.uid).filter(|entry| entry.tail < seq) else {
                    return;
                };
                match entry.epoch {
                    Some(epoch) => self.stored(&message, epoch, seq, now),
                    None => entry.tail = seq,
                }
            }
            News::Forgotten { uid, epoch, seq } => {
                // Whoever has come since has a new epoch already.
                let entry = self.uids.get(&uid).filter(|entry| entry.tail < seq);
                if entry.is_some_and(|entry| entry.epoch.is_some_and(|known| known != epoch)) {
                    self.forgotten(&uid);
                }
            }
            News::Everything => {
                for uid in self.uids.keys().cloned().collect::<Vec<_>>() {
                    self.forgotten(&uid);
                }
            }
        }
    }

    /// Takes that the store has forgotten everything of a uid.
    pub(in crate::inbox) fn forgotten(&mut self, uid: &[u8]) {
        let Some(entry) = self.uids.get_mut(uid) else { return };
        for connection in entry.restart() {
            self.arriving.push_back(connection);
            self.following.remove(&connection);
            self.untaken.remove(&connection);
        }
    }

    /// Gives operations for the next transaction, of which [`Delivery::committed`] or [`Delivery::failed`] is told.
    pub(in crate::inbox) fn take_operations(&mut self) -> Vec<Operation> {
        let mut arrivals = Vec::new();
        while let Some(connection) = self.arriving.pop_front() {
            let entry =
                self.connections.get(&connection).and_then(|uid| Some((uid, self.uids.get_mut(uid)?)));
            let bound = entry.and_then(|(uid, entry)| Some((uid, entry.connection(connection)?)));
            let Some((uid, bound)) = bound.filter(|(_, bound)| bound.stage == Stage::Arriving) else {
                continue;
            };
            arrivals.push(Operation::Arrive { uid: uid.clone(), device: bound.device.clone() });
            self.under_way.0.push(connection);
            if arrivals.len() == ROWS {
                break;
            }
        }
        let others: Vec<_> = self.operations.drain(..self.operations.len().min(ROWS)).collect();
        self.under_way.1.clone_from(&others);
        arrivals.extend(others);
        arrivals
    }

    /// Takes the outcomes of the operations that were taken.
    pub(in crate::inbox) fn committed(&mut self, outcomes: Vec<Outcome>) {
        let (arrivals, operations) = std::mem::take(&mut self.under_way);
        let mut outcomes = outcomes.into_iter();
        for connection in arrivals {
            match outcomes.next() {
                Some(Outcome::Arrived(arrival)) => self.arrived(connection, &arrival),
                // A connection whose device the store refuses gets nothing of the inbox.
                _ => self.left(connection, false, 0),
            }
        }
        for operation in operations {
            if let Operation::LostTold { uid, device, .. } = operation
                && let Some(entry) = self.uids.get_mut(&uid)
            {
                entry.told(&device);
            }
        }
    }

    /// Takes that the operations that were taken have not been done.
    pub(in crate::inbox) fn failed(&mut self) {
        let (arrivals, operations) = std::mem::take(&mut self.under_way);
        arrivals.into_iter().rev().for_each(|connection| self.arriving.push_front(connection));
        operations.into_iter().rev().for_each(|operation| self.operations.push_front(operation));
    }

    fn arrived(&mut self, connection: u32, arrival: &Arrival) {
        let Some(uid) = self.connections.get(&connection).cloned() else { return };
        if self.uids.get(&uid).is_some_and(|entry| entry.epoch.is_some_and(|known| known != arrival.epoch)) {
            // All of them come anew, this one too.
            return self.forgotten(&uid);
        }
        let Some(entry) = self.uids.get_mut(&uid) else { return };
        entry.epoch = Some(arrival.epoch);
        let behind = entry.know_of(arrival.tail);
        entry.arrived(connection, arrival.acknowledged);
        behind.into_iter().for_each(|behind| self.read_for(&uid, behind));
        let Some(bound) = self.uids.get_mut(&uid).and_then(|entry| entry.connection(connection)) else {
            return;
        };
        let device = bound.device.clone();
        if let Stage::Following { .. } = bound.stage {
            self.following.insert(connection);
            self.follow(&uid, &device);
        } else {
            self.read_for(&uid, connection);
        }
    }

    /// Gives a page that is to be read, whose messages [`Delivery::page`] takes.
    pub(in crate::inbox) fn next_page(&mut self) -> Option<(u32, PageRequest)> {
        while let Some(connection) = self.reading.pop_front() {
            let Some(uid) = self.connections.get(&connection) else { continue };
            let Some(bound) = self.uids.get_mut(uid).and_then(|entry| entry.connection(connection)) else {
                continue;
            };
            bound.is_queued = false;
            if let (Stage::Reading { .. }, Some((messages, bytes))) = (bound.stage, bound.room()) {
                let (uid, device) = (uid.clone(), bound.device.clone());
                return Some((connection, PageRequest { uid, device, after: bound.sent, messages, bytes }));
            }
        }
        None
    }

    /// Takes what waits for a connection. Everything that was committed before it was read must have been told before.
    pub(in crate::inbox) fn page(&mut self, connection: u32, page: WaitingPage, now: Millis) {
        let Some(uid) = self.connections.get(&connection).cloned() else { return };
        let Some(entry) = self.uids.get_mut(&uid) else { return };
        let (Some(epoch), tail) = (entry.epoch, entry.tail) else { return };
        if page.epoch.is_some_and(|of_page| of_page != epoch) {
            // Another server has had the uid forgotten, and the news of that have not come yet.
            return self.forgotten(&uid);
        }
        let Some(bound) = entry.connection(connection) else { return };
        let Stage::Reading { kept_until } = bound.stage else { return };
        let (device, is_page) = (bound.device.clone(), bound.is_page);
        let to_it = |content| Sending {
            uid: uid.clone(),
            connections: vec![connection],
            is_for_pages: is_page,
            content,
        };
        let mut sends = Vec::with_capacity(page.messages.len());
        for message in page.messages {
            bound.sends(message.seq, message.payload.len(), now);
            sends.push(to_it(Content::Message {
                is_new: kept_until.is_some_and(|kept| message.seq > kept),
                epoch,
                seq: message.seq,
                id: message.id,
                payload: message.payload,
                is_binary: message.is_binary,
            }));
        }
        if !page.has_more {
            bound.sent = bound.sent.max(tail);
            bound.stage = Stage::Live;
        }
        let sent = bound.sent;
        if bound.has_acknowledged_all() {
            // What is left up to here is not for the device, or has gone, so that nobody waits for it to be acknowledged.
            entry.acknowledged(&device, sent);
        }
        if page.lost > 0 && is_page && entry.tells(connection, &device) {
            self.sendings.push(to_it(Content::Lost { epoch, count: page.lost }));
            self.add(Operation::LostTold { uid: uid.clone(), device: device.clone(), lost: page.lost });
        }
        if !sends.is_empty() {
            self.written(&uid, &device, epoch, sent);
            if !is_page {
                self.untaken.insert(connection);
            }
            self.sendings.append(&mut sends);
        }
        if page.has_more {
            self.read_for(&uid, connection);
        } else {
            self.follow(&uid, &device);
        }
        self.confirm(&uid, &device);
    }

    /// Takes that a page could not be read. It is asked for again after the next [`Delivery::tick`].
    pub(in crate::inbox) fn page_failed(&mut self, connection: u32) {
        self.read_later.push(connection);
    }

    /// Looks at what has waited for long. It is called about once a second.
    pub(in crate::inbox) fn tick(&mut self, now: Millis) {
        for connection in std::mem::take(&mut self.read_later) {
            if let Some(uid) = self.connections.get(&connection).cloned() {
                self.read_for(&uid, connection);
            }
        }
        for connection in self.following.iter().copied().collect::<Vec<_>>() {
            let Some(uid) = self.connections.get(&connection).cloned() else { continue };
            let replaced = self.uids.get_mut(&uid).and_then(|entry| entry.replace_stalled(connection, now));
            if replaced.is_some() {
                self.following.remove(&connection);
                self.read_for(&uid, connection);
            }
        }
    }

    pub(in crate::inbox) fn take_sendings(&mut self) -> Vec<Sending> {
        std::mem::take(&mut self.sendings)
    }

    /// Says whether a connection waits for the store.
    pub(in crate::inbox) fn is_waited_for(&self) -> bool {
        !self.arriving.is_empty() || !self.reading.is_empty()
    }

    /// Says whether the store is to be told of connections.
    pub(in crate::inbox) fn has_arrivals(&self) -> bool {
        !self.arriving.is_empty()
    }

    /// Says whether operations wait for the store, for which nobody waits.
    pub(in crate::inbox) fn has_operations(&self) -> bool {
        !self.operations.is_empty()
    }

    /// Says whether [`Delivery::tick`] has something to look at.
    pub(in crate::inbox) fn needs_ticks(&self) -> bool {
        !self.read_later.is_empty() || !self.following.is_empty()
    }

    #[cfg(test)]
    pub(in crate::inbox) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Puts a connection into the queue of those that are read for, if it reads and has room.
    fn read_for(&mut self, uid: &Bytes, connection: u32) {
        let Some(bound) = self.uids.get_mut(uid).and_then(|entry| entry.connection(connection)) else {
            return;
        };
        if matches!(bound.stage, Stage::Reading { .. }) && bound.room().is_some() && !bound.is_queued {
            bound.is_queued = true;
            self.reading.push_back(connection);
        }
    }

    /// Begins with the connections of a device that have followed and may begin.
    fn follow(&mut self, uid: &Bytes, device: &Device) {
        if self.following.is_empty() {
            return;
        }
        let Some(entry) = self.uids.get_mut(uid) else { return };
        for connection in entry.follow(device) {
            self.following.remove(&connection);
            self.read_for(uid, connection);
        }
    }

    /// Tells the store what a device has acknowledged.
    fn confirm(&mut self, uid: &Bytes, device: &Device) {
        let Some(entry) = self.uids.get_mut(uid) else { return };
        if let (Some(epoch), Some(seq)) = (entry.epoch, entry.confirmable(device)) {
            self.add(Operation::Acknowledge { uid: uid.clone(), device: device.clone(), epoch, seq });
        }
    }

    fn written(&mut self, uid: &Bytes, device: &Device, epoch: u64, seq: u64) {
        let news = self.uids.get_mut(uid).and_then(|entry| entry.written(device, seq));
        let Some(seq) = news else { return };
        if let Some(Operation::Written { uid: last, device: same, seq: before, .. }) =
            self.operations.back_mut()
            && (&*last, &*same) == (uid, device)
        {
            *before = seq;
        } else {
            self.add(Operation::Written { uid: uid.clone(), device: device.clone(), epoch, seq });
        }
    }

    fn add(&mut self, operation: Operation) {
        if self.operations.len() < OPERATIONS {
            self.operations.push_back(operation);
        }
    }
}
