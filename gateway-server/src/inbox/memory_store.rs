//! The store in memory, for tests: it says in plain code what the database does.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hasher as _;

use bytes::Bytes;
use siphasher::sip::SipHasher13;

use super::bounds::{Bounds, DEVICE_LIFE, NOTICE_LIFE, PRODUCER_LIFE, SEEN_STEP};
use super::model::{
    Device, DeviceInbox, DeviceReceipt, Millis, NewDevice, NewMessage, PageRequest, Producer, Receipt,
    Totals, UidInbox, UidSummary, WaitingMessage, WaitingPage,
};
use super::notices::{Fact, Notice, WantedNotices};
use super::store::{Arrival, Operation, Outcome, Refusal, Store, StoreError, check_device};

/// The bytes that a message takes besides its payload, roughly.
const OVERHEAD: u64 = 256;

/// A store that ends with its process.
#[derive(Default)]
pub struct MemoryStore {
    bounds: Bounds,
    uids: BTreeMap<u64, Inbox>,
    producers: BTreeMap<Producer, (u64, Millis)>,
    /// The number of inboxes that were made, of which each has its own as its epoch's seed.
    made: u64,
    /// The last position of the store, where all uids have their positions from one sequence.
    stream: Option<u64>,
    wanted: WantedNotices,
    notices: Notices,
}

/// What waits for PHP, each with when it was noted.
#[derive(Default)]
struct Notices {
    waiting: VecDeque<(Millis, Notice)>,
    last: u64,
    lost: u64,
}

struct Inbox {
    uid: Bytes,
    epoch: u64,
    next_seq: u64,
    acknowledged: u64,
    messages: BTreeMap<u64, Message>,
    devices: BTreeMap<u32, Known>,
}

struct Message {
    id: Box<str>,
    /// The payload, until all devices have it or the message was dropped.
    payload: Option<Bytes>,
    length: u64,
    is_binary: bool,
    for_all: bool,
    replace: Option<Box<str>>,
    stored_at: Millis,
    expires_at: Millis,
    /// When the message was dropped or replaced.
    ended: Option<Millis>,
    /// When PHP is told of it, unless a device acknowledges it before.
    due: Option<Millis>,
}

struct Known {
    device: Device,
    seen: Millis,
    acknowledged: u64,
    floor: u64,
    lost: u64,
    /// How far the device had come, and when, and which messages it has read.
    written: BTreeMap<u64, Millis>,
    received: BTreeMap<u64, Millis>,
    read: BTreeMap<u64, Millis>,
}

impl Known {
    fn written_to(&self) -> u64 {
        self.written.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    fn waits_for(&self, seq: u64, message: &Message, now: Millis) -> bool {
        message.payload.is_some()
            && message.expires_at > now
            && seq > self.acknowledged
            && (message.for_all || seq > self.floor)
    }

    /// Says whether a message is for the device, and was written to it before it was dropped or its time ended.
    fn has_got(&self, seq: u64, message: &Message) -> bool {
        let end = message.ended.unwrap_or(message.expires_at).min(message.expires_at);
        let is_for_it = message.for_all || seq > self.floor;
        is_for_it && self.written.range(seq..).next().is_some_and(|(_, at)| *at < end)
    }

    fn be_seen(&mut self, now: Millis) {
        if now >= self.seen + SEEN_STEP {
            self.seen = now;
        }
    }
}

impl Notices {
    fn add(&mut self, now: Millis, most: u64, uid: &Bytes, id: &str, fact: Fact) {
        self.last += 1;
        let notice = Notice { number: self.last, uid: uid.clone(), id: id.into(), fact };
        self.waiting.push_back((now, notice));
        if self.waiting.len() as u64 > most {
            self.waiting.pop_front();
            self.lost += 1;
        }
    }

    /// Tells of a message that goes, if it was still watched.
    fn add_if_watched(&mut self, now: Millis, most: u64, uid: &Bytes, message: &mut Message) {
        if message.due.take().is_some() {
            let stored_at = message.stored_at;
            self.add(now, most, uid, &message.id, Fact::Undelivered { stored_at });
        }
    }
}

impl Inbox {
    fn waiting(&self) -> (u64, u64) {
        let waiting = self.messages.values().filter(|message| message.payload.is_some());
        waiting.fold((0, 0), |(count, bytes), message| (count + 1, bytes + message.length))
    }

    fn device(&mut self, device: &Device) -> Option<&mut Known> {
        self.devices.values_mut().find(|known| known.device == *device)
    }

    /// Notes that a device has handled everything up to a position. `told` is where PHP is told of it, and how much that may be.
    fn acknowledge(
        &mut self,
        now: Millis,
        device: &Device,
        seq: u64,
        told: Option<(&mut Notices, u64)>,
    ) -> Outcome {
        let Some(known) = self.devices.values_mut().find(|known| known.device == *device) else {
            return Outcome::Ignored;
        };
        let seq = seq.min(known.written_to());
        if seq <= known.acknowledged {
            return Outcome::Acknowledged { seq: known.acknowledged, news: false };
        }
        if let Some((notices, most)) = told {
            let got = self.messages.range(known.acknowledged + 1..=seq);
            for (_, message) in got.filter(|(seq, message)| known.has_got(**seq, message)) {
                let fact = Fact::Received { device: device.clone(), at: now };
                notices.add(now, most, &self.uid, &message.id, fact);
            }
        }
        known.acknowledged = seq;
        known.be_seen(now);
        known.received.insert(seq, now);
        self.acknowledged = self.acknowledged.max(seq);
        self.messages.range_mut(..=seq).for_each(|(_, message)| message.due = None);
        self.settle();
        Outcome::Acknowledged { seq, news: true }
    }

    /// Frees the payloads of what all devices have.
    fn settle(&mut self) {
        let low = self.devices.values().map(|known| known.acknowledged.max(known.floor)).min();
        for (_, message) in self.messages.range_mut(..=low.unwrap_or(0)) {
            if !message.for_all {
                (message.payload, message.replace) = (None, None);
            }
        }
    }

    /// Removes the marks that no message needs any more.
    fn tidy(&mut self) {
        let first = self.messages.keys().next().copied().unwrap_or(u64::MAX);
        for known in self.devices.values_mut() {
            let last = known.written_to();
            // How far the device was written to stays known, though not when.
            known.written.retain(|seq, _| *seq >= first || *seq == last);
            known.received.retain(|seq, _| *seq >= first);
            known.read.retain(|seq, _| *seq >= first);
        }
    }
}

impl MemoryStore {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Makes a store whose positions are those of one sequence for all uids, as the store of a cluster has them.
    #[cfg(test)]
    pub(super) fn of_stream(bounds: Bounds) -> Self {
        Self { stream: Some(0), ..Self::new(bounds) }
    }

    /// The last position of all uids.
    #[cfg(test)]
    pub(super) fn last_position(&self) -> u64 {
        self.stream.unwrap_or(0)
    }

    pub fn want_notices(&mut self, wanted: WantedNotices) {
        self.wanted = wanted;
    }

    fn key(&self, uid: &[u8]) -> Option<u64> {
        self.uids.iter().find(|(_, inbox)| inbox.uid == uid).map(|(key, _)| *key)
    }

    fn find(&mut self, uid: &[u8], epoch: Option<u64>) -> Option<&mut Inbox> {
        let inbox = self.uids.values_mut().find(|inbox| inbox.uid == uid)?;
        epoch.is_none_or(|epoch| epoch == inbox.epoch).then_some(inbox)
    }

    fn inbox(&mut self, uid: &Bytes) -> &mut Inbox {
        let next = self.uids.last_key_value().map_or(1, |(last, _)| last + 1);
        let key = self.key(uid).unwrap_or(next);
        let first = self.stream.unwrap_or(0) + 1;
        self.uids.entry(key).or_insert_with(|| {
            self.made += 1;
            let mut hasher = SipHasher13::new_with_keys(0, self.made);
            hasher.write(uid);
            Inbox {
                uid: uid.clone(),
                epoch: hasher.finish(),
                next_seq: first,
                acknowledged: 0,
                messages: BTreeMap::new(),
                devices: BTreeMap::new(),
            }
        })
    }

    fn deliver(&mut self, now: Millis, message: &NewMessage) -> Outcome {
        if let Some((producer, number)) = &message.producer
            && self.producers.get(producer).is_some_and(|(applied, _)| number <= applied)
        {
            return Outcome::Repeated;
        }
        let outcome = self.store(now, message);
        if let (Some((producer, number)), false) = (&message.producer, matches!(outcome, Outcome::Refused(_)))
        {
            self.producers.insert(*producer, (*number, now));
        }
        outcome
    }

    fn store(&mut self, now: Millis, message: &NewMessage) -> Outcome {
        if let Err(refusal) = message.check() {
            return Outcome::Refused(refusal);
        }
        let (wanted, bounds) = (self.wanted, self.bounds);
        if let Some(inbox) = self.uids.values_mut().find(|inbox| inbox.uid == message.uid) {
            let epoch = inbox.epoch;
            let known = inbox.messages.iter().find(|(_, known)| known.id == message.id);
            match known.map(|(seq, known)| (*seq, known.expires_at)) {
                Some((seq, expires)) if expires > now => return Outcome::Known { epoch, seq },
                Some((seq, _)) => {
                    if let Some(mut old) = inbox.messages.remove(&seq) {
                        self.notices.add_if_watched(now, bounds.notices, &message.uid, &mut old);
                    }
                }
                None => {}
            }
        }
        let length = message.payload.len() as u64;
        let rows: u64 = self.uids.values().map(|inbox| inbox.messages.len() as u64).sum();
        let held: u64 = self.uids.values().map(|inbox| inbox.waiting().1).sum();
        if held + length + (rows + 1) * OVERHEAD > self.bounds.store_bytes {
            return Outcome::Refused(Refusal::StoreFull);
        }
        let mut notices = std::mem::take(&mut self.notices);
        let in_stream = self.stream.as_mut().map(|last| {
            *last += 1;
            *last
        });
        let inbox = self.inbox(&message.uid);
        let mut due: Option<Millis> = None;
        if message.replace.is_some() {
            for old in inbox.messages.values_mut().filter(|old| old.replace == message.replace) {
                (old.payload, old.replace, old.ended) = (None, None, Some(now));
                due = old.due.take().or(due);
            }
        }
        let mut dropped = 0;
        loop {
            let (count, bytes) = inbox.waiting();
            if count == 0 || (count < bounds.messages && bytes + length <= bounds.bytes) {
                break;
            }
            let Some((seq, old)) = inbox.messages.iter_mut().find(|(_, old)| old.payload.is_some()) else {
                break;
            };
            if old.expires_at > now {
                dropped += 1;
                for known in inbox.devices.values_mut().filter(|known| known.waits_for(*seq, old, now)) {
                    known.lost += 1;
                }
            }
            (old.payload, old.replace, old.ended) = (None, None, Some(now));
            notices.add_if_watched(now, bounds.notices, &message.uid, old);
        }
        let seq = in_stream.unwrap_or(inbox.next_seq);
        inbox.next_seq = seq + 1;
        let expires_at = now + message.ttl * 1000;
        let due = wanted
            .undelivered_after
            .map(|after| (now + after).min(expires_at).min(due.unwrap_or(Millis::MAX)));
        inbox.messages.insert(
            seq,
            Message {
                id: message.id.clone(),
                payload: Some(message.payload.clone()),
                length,
                is_binary: message.is_binary,
                for_all: message.new_device == NewDevice::All,
                replace: message.replace.clone(),
                stored_at: now,
                expires_at,
                ended: None,
                due,
            },
        );
        let epoch = inbox.epoch;
        self.notices = notices;
        Outcome::Stored { epoch, seq, dropped }
    }

    fn arrive(&mut self, now: Millis, uid: &Bytes, device: &Device) -> Outcome {
        if let Err(refusal) = check_device(uid, device) {
            return Outcome::Refused(refusal);
        }
        let most = self.bounds.devices;
        let inbox = self.inbox(uid);
        let (epoch, tail) = (inbox.epoch, inbox.next_seq - 1);
        if let Some(known) = inbox.device(device) {
            known.be_seen(now);
            let (acknowledged, lost) = (known.acknowledged, known.lost);
            return Outcome::Arrived(Arrival { epoch, acknowledged, lost, tail, is_new: false });
        }
        if inbox.devices.len() >= most {
            let oldest = |signed: bool| {
                let of_sort = inbox.devices.iter().filter(|(_, known)| known.device.is_signed() == signed);
                of_sort.min_by_key(|(number, known)| (known.seen, **number)).map(|(number, _)| *number)
            };
            let Some(evicted) = oldest(false).or_else(|| oldest(true).filter(|_| device.is_signed())) else {
                return Outcome::Refused(Refusal::TooManyDevices);
            };
            inbox.devices.remove(&evicted);
        }
        let number = inbox.devices.last_key_value().map_or(1, |(last, _)| last + 1);
        let known = Known {
            device: device.clone(),
            seen: now,
            acknowledged: 0,
            floor: inbox.acknowledged,
            lost: 0,
            written: BTreeMap::new(),
            received: BTreeMap::new(),
            read: BTreeMap::new(),
        };
        inbox.devices.insert(number, known);
        inbox.settle();
        Outcome::Arrived(Arrival { epoch, acknowledged: 0, lost: 0, tail, is_new: true })
    }

    fn written(&mut self, now: Millis, uid: &[u8], device: &Device, epoch: u64, seq: u64) -> Outcome {
        let Some(inbox) = self.find(uid, Some(epoch)) else { return Outcome::Ignored };
        let seq = seq.min(inbox.next_seq - 1);
        let Some(known) = inbox.device(device) else { return Outcome::Ignored };
        if seq > known.written_to() {
            known.written.insert(seq, now);
        }
        Outcome::Done
    }

    fn acknowledge(&mut self, now: Millis, uid: &[u8], device: &Device, epoch: u64, seq: u64) -> Outcome {
        let (wanted, most) = (self.wanted, self.bounds.notices);
        let mut notices = std::mem::take(&mut self.notices);
        let outcome = self.find(uid, Some(epoch)).map_or(Outcome::Ignored, |inbox| {
            inbox.acknowledge(now, device, seq, wanted.receipts.then_some((&mut notices, most)))
        });
        self.notices = notices;
        outcome
    }

    fn read(&mut self, now: Millis, uid: &[u8], device: &Device, epoch: u64, seq: u64) -> Outcome {
        let (wants, most) = (self.wanted.receipts, self.bounds.notices);
        let mut notices = std::mem::take(&mut self.notices);
        let outcome = self.find(uid, Some(epoch)).map_or(Outcome::Ignored, |inbox| {
            let message = inbox.messages.get(&seq).filter(|message| message.expires_at > now);
            let known = inbox.devices.values_mut().find(|known| known.device == *device);
            let Some((message, known)) = message.zip(known).filter(|(_, known)| seq <= known.written_to())
            else {
                return Outcome::Ignored;
            };
            let is_news = !known.read.contains_key(&seq);
            known.read.entry(seq).or_insert(now);
            if is_news && wants && known.has_got(seq, message) {
                let fact = Fact::Read { device: device.clone(), at: now };
                notices.add(now, most, &inbox.uid, &message.id, fact);
            }
            Outcome::Done
        });
        self.notices = notices;
        outcome
    }

    fn lost_told(&mut self, uid: &[u8], device: &Device, lost: u64) -> Outcome {
        match self.find(uid, None).and_then(|inbox| inbox.device(device)) {
            Some(known) => {
                known.lost = known.lost.saturating_sub(lost);
                Outcome::Done
            }
            None => Outcome::Ignored,
        }
    }

    fn forget(&mut self, uid: &[u8]) -> Outcome {
        // The mark that the uid was forgotten has a position too.
        self.stream.iter_mut().for_each(|last| *last += 1);
        match self.key(uid).and_then(|key| self.uids.remove(&key)) {
            Some(inbox) => {
                self.notices.waiting.retain(|(_, notice)| notice.uid != uid);
                if self.stream.is_some() {
                    // The mark decides on the epoch that the uid has from now on.
                    self.inbox(&inbox.uid);
                }
                Outcome::Done
            }
            None => Outcome::Ignored,
        }
    }

    fn tell_undelivered(&mut self, now: Millis, at_most: usize) -> Outcome {
        let mut due = Vec::new();
        for (key, inbox) in &self.uids {
            let late = inbox.messages.iter().filter_map(|(seq, message)| Some((message.due?, *key, *seq)));
            due.extend(late.filter(|(due, ..)| *due <= now));
        }
        due.sort_unstable();
        due.truncate(at_most);
        for (_, key, seq) in &due {
            let Some(inbox) = self.uids.get_mut(key) else { continue };
            if let Some(message) = inbox.messages.get_mut(seq) {
                self.notices.add_if_watched(now, self.bounds.notices, &inbox.uid, message);
            }
        }
        Outcome::Expired { removed: due.len(), has_more: at_most > 0 && due.len() == at_most }
    }

    fn expire_notices(&mut self, now: Millis, at_most: usize) -> usize {
        let waiting = &mut self.notices.waiting;
        let old = waiting.iter().take(at_most).take_while(|(noted, _)| noted + NOTICE_LIFE <= now).count();
        waiting.drain(..old);
        self.notices.lost += old as u64;
        old
    }

    fn expire(&mut self, now: Millis, at_most: usize) -> Outcome {
        let mut messages = Vec::new();
        let mut devices = Vec::new();
        for (key, inbox) in &self.uids {
            let ended = inbox.messages.iter().filter(|(_, message)| message.expires_at <= now);
            messages.extend(ended.map(|(seq, message)| (message.expires_at, *key, *seq)));
            let gone = inbox.devices.iter().filter(|(_, known)| known.seen + DEVICE_LIFE <= now);
            devices.extend(gone.map(|(number, known)| (known.seen, *key, *number)));
        }
        messages.sort_unstable();
        messages.truncate(at_most);
        devices.sort_unstable();
        devices.truncate(at_most);
        let mut producers: Vec<_> = self
            .producers
            .iter()
            .filter(|(_, (_, seen))| seen + PRODUCER_LIFE <= now)
            .map(|(producer, (_, seen))| (*seen, *producer))
            .collect();
        producers.sort_unstable();
        producers.truncate(at_most);
        for (_, key, seq) in &messages {
            let Some(inbox) = self.uids.get_mut(key) else { continue };
            if let Some(mut message) = inbox.messages.remove(seq) {
                self.notices.add_if_watched(now, self.bounds.notices, &inbox.uid, &mut message);
            }
            inbox.tidy();
        }
        for (_, key, number) in &devices {
            self.uids.entry(*key).and_modify(|inbox| {
                inbox.devices.remove(number);
                inbox.settle();
                inbox.tidy();
            });
        }
        for (_, producer) in &producers {
            self.producers.remove(producer);
        }
        let notices = self.expire_notices(now, at_most);
        let concerned: Vec<_> =
            messages.iter().map(|(_, key, _)| *key).chain(devices.iter().map(|(_, key, _)| *key)).collect();
        self.uids.retain(|key, inbox| {
            !concerned.contains(key) || !inbox.messages.is_empty() || !inbox.devices.is_empty()
        });
        let counts = [messages.len(), devices.len(), producers.len(), notices];
        Outcome::Expired { removed: counts.iter().sum(), has_more: at_most > 0 && counts.contains(&at_most) }
    }
}

impl Store for MemoryStore {
    fn apply(&mut self, now: Millis, operations: &[Operation]) -> Result<Vec<Outcome>, StoreError> {
        let one = |operation: &Operation| match operation {
            Operation::Deliver(message) => self.deliver(now, message),
            Operation::Arrive { uid, device } => self.arrive(now, uid, device),
            Operation::Written { uid, device, epoch, seq } => self.written(now, uid, device, *epoch, *seq),
            Operation::Acknowledge { uid, device, epoch, seq } => {
                self.acknowledge(now, uid, device, *epoch, *seq)
            }
            Operation::Read { uid, device, epoch, seq } => self.read(now, uid, device, *epoch, *seq),
            Operation::LostTold { uid, device, lost } => self.lost_told(uid, device, *lost),
            Operation::Forget { uid } => self.forget(uid),
            Operation::TellUndelivered { at_most } => self.tell_undelivered(now, *at_most),
            Operation::NoticesTold { up_to } => {
                self.notices.waiting.retain(|(_, notice)| notice.number > *up_to);
                Outcome::Done
            }
            Operation::Expire { at_most } => self.expire(now, *at_most),
        };
        Ok(operations.iter().map(one).collect())
    }

    fn waiting(&mut self, now: Millis, wanted: &PageRequest) -> Result<WaitingPage, StoreError> {
        let PageRequest { uid, device, after, messages, bytes } = wanted;
        let mut page = WaitingPage::default();
        let Some(inbox) = self.find(uid, None) else { return Ok(page) };
        let Some(known) = inbox.devices.values().find(|known| known.device == *device) else {
            return Ok(page);
        };
        page.lost = known.lost;
        let waiting =
            inbox.messages.iter().filter(|(seq, old)| *seq > after && known.waits_for(**seq, old, now));
        let mut taken = 0;
        for (seq, message) in waiting {
            let Some(payload) = message.payload.clone() else { continue };
            let count = page.messages.len();
            if count > 0 && (count >= *messages || taken + payload.len() > *bytes) {
                page.has_more = true;
                break;
            }
            taken += payload.len();
            page.messages.push(WaitingMessage {
                seq: *seq,
                id: message.id.clone(),
                payload,
                is_binary: message.is_binary,
                stored_at: message.stored_at,
                expires_at: message.expires_at,
            });
        }
        Ok(page)
    }

    fn receipt(&mut self, now: Millis, id: &str, uids: usize) -> Result<Vec<Receipt>, StoreError> {
        let up_to = |marks: &BTreeMap<u64, Millis>, seq: u64| marks.range(seq..).next().map(|(_, at)| *at);
        let mut receipts = Vec::new();
        for inbox in self.uids.values() {
            let found =
                inbox.messages.iter().find(|(_, message)| *message.id == *id && message.expires_at > now);
            let Some((seq, message)) = found else { continue };
            let devices = inbox.devices.values().filter(|known| message.for_all || *seq > known.floor);
            let devices = devices.filter_map(|known| {
                let written_at =
                    up_to(&known.written, *seq).filter(|at| message.ended.is_none_or(|ended| *at < ended))?;
                Some(DeviceReceipt {
                    device: known.device.clone(),
                    written_at: Some(written_at),
                    received_at: up_to(&known.received, *seq),
                    read_at: known.read.get(seq).copied(),
                })
            });
            receipts.push(Receipt {
                uid: inbox.uid.clone(),
                seq: *seq,
                stored_at: message.stored_at,
                expires_at: message.expires_at,
                is_waiting: message.payload.is_some(),
                devices: devices.collect(),
            });
        }
        receipts.truncate(uids);
        Ok(receipts)
    }

    fn inbox_of(&mut self, now: Millis, uid: &[u8]) -> Result<Option<UidInbox>, StoreError> {
        let Some(inbox) = self.find(uid, None) else { return Ok(None) };
        let (messages, bytes) = inbox.waiting();
        let devices = inbox.devices.values().map(|known| DeviceInbox {
            device: known.device.clone(),
            acknowledged: known.acknowledged,
            written: known.written_to(),
            waiting: inbox.messages.iter().filter(|(seq, old)| known.waits_for(**seq, old, now)).count()
                as u64,
            lost: known.lost,
            seen_at: known.seen,
        });
        Ok(Some(UidInbox { epoch: inbox.epoch, messages, bytes, devices: devices.collect() }))
    }

    fn uids(&mut self, after: &[u8], limit: usize) -> Result<Vec<UidSummary>, StoreError> {
        let summary = |inbox: &Inbox| {
            let (messages, bytes) = inbox.waiting();
            UidSummary { uid: inbox.uid.clone(), messages, bytes }
        };
        let mut found: Vec<_> = self.uids.values().map(summary).collect();
        found.retain(|one| one.messages > 0 && *one.uid > *after);
        found.sort_by(|one, other| one.uid.cmp(&other.uid));
        found.truncate(limit);
        Ok(found)
    }

    fn progress(&mut self, producer: &Producer) -> Result<Option<u64>, StoreError> {
        Ok(self.producers.get(producer).map(|(number, _)| *number))
    }

    fn notices(&mut self, limit: usize, bytes: usize) -> Result<Vec<Notice>, StoreError> {
        let mut taken = 0;
        let oldest = self.notices.waiting.iter().take(limit).enumerate();
        let oldest = oldest.take_while(|(at, (_, notice))| {
            taken += notice.cost();
            *at == 0 || taken <= bytes
        });
        Ok(oldest.map(|(_, (_, notice))| notice.clone()).collect())
    }

    fn has_undelivered(&mut self, now: Millis) -> Result<bool, StoreError> {
        let mut all = self.uids.values().flat_map(|inbox| inbox.messages.values());
        Ok(all.any(|message| message.due.is_some_and(|due| due <= now)))
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        let mut totals = Totals {
            uids: self.uids.len() as u64,
            notices: self.notices.waiting.len() as u64,
            lost_notices: self.notices.lost,
            ..Totals::default()
        };
        for (messages, bytes) in self.uids.values().map(Inbox::waiting) {
            totals.messages += messages;
            totals.bytes += bytes;
        }
        Ok(totals)
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
