//! Notices for PHP, and the watch over messages that no device has acknowledged.
//!
//! Notices and watches are messages of the stream too. One node of the cluster at a time tells notices, and one looks after watches: whoever
//! holds the lease for that. A notice is written before the record that makes it true, under an id by which NATS knows it again, so that
//! it is neither lost nor written twice when the record has to be written anew.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::api::{Publish, RawMessage};
use super::kept_notice::{KeptNotice, Watch};
use super::lease::Lease;
use super::message::KeptMessage;
use super::names::UidNames;
use super::record::{DeviceRecord, Record};
use super::shared::Shared;
use super::stream;
use crate::inbox::bounds::NOTICE_LIFE;
use crate::inbox::model::Millis;
use crate::inbox::notices::{Fact, Notice};
use crate::inbox::store::{Operation, Outcome, StoreError};

impl Shared {
    /// Has PHP told what operations change in the record of a uid, which is still to be written.
    pub(super) async fn tell_of(
        &self,
        now: Millis,
        uid: &UidNames,
        (before, record): (&Record, &Record),
        (operations, outcomes): (&[&Operation], &[Outcome]),
    ) -> Result<(), StoreError> {
        if !self.wanted.receipts {
            return Ok(());
        }
        for known in &record.devices {
            let acknowledged = before.device(&known.device).map_or(0, |known| known.acknowledged);
            if known.acknowledged > acknowledged {
                let from = acknowledged.max(record.forgotten);
                let fact = Fact::Received { device: known.device.clone(), at: now };
                self.tell_between(now, uid, known, (from, known.acknowledged), &fact).await?;
            }
        }
        for (operation, outcome) in operations.iter().zip(outcomes) {
            let (Operation::Read { device, seq, .. }, Outcome::Done) = (operation, outcome) else { continue };
            let was_read = before.device(device).is_some_and(|known| known.read_at.at(*seq).is_some());
            if let Some(known) = record.device(device).filter(|_| !was_read && *seq > record.forgotten) {
                let fact = Fact::Read { device: device.clone(), at: now };
                self.tell_between(now, uid, known, (*seq - 1, *seq), &fact).await?;
            }
        }
        Ok(())
    }

    /// Has PHP told a fact of those messages behind one position and up to another that were written to a device.
    async fn tell_between(
        &self,
        now: Millis,
        uid: &UidNames,
        known: &DeviceRecord,
        (after, up_to): (u64, u64),
        fact: &Fact,
    ) -> Result<(), StoreError> {
        let places = self.places(uid, after).await?;
        for (seq, _) in places.into_iter().take_while(|(seq, _)| *seq <= up_to) {
            let Some(message) = self.message_at(seq).await? else { continue };
            let is_for_it = message.for_all || seq > known.floor;
            let was_written = known.written_at.reached(seq).is_some_and(|at| at < message.expires_at);
            if is_for_it && was_written {
                self.tell(now, uid, &KeptNotice::new(&message.uid, &message.id, fact)).await?;
            }
        }
        Ok(())
    }

    async fn tell(&self, now: Millis, uid: &UidNames, notice: &KeptNotice) -> Result<(), StoreError> {
        let (subject, body) = (uid.notices(), notice.encode(now));
        let id = self.names.notice_id(uid, notice);
        let published = self.api.publish(Publish {
            subject: &subject,
            body: self.names.seal(&subject, &body),
            replaces: false,
            id: Some(&id),
            behind: None,
            ttl: self.settings.has_ttl.then_some(NOTICE_LIFE / 1000),
        });
        let ack = published.await?;
        self.use_bytes(if ack.is_duplicate { 0 } else { body.len() as u64 });
        Ok(())
    }

    /// Watches over a message that was stored, if that is wanted. To do so again changes nothing.
    pub(super) async fn watch(
        &self,
        uid: &UidNames,
        seq: u64,
        message: &KeptMessage,
    ) -> Result<(), StoreError> {
        let Some(after) = self.wanted.undelivered_after else { return Ok(()) };
        let watch = Watch {
            uid: message.uid.clone(),
            id: message.id.clone(),
            seq,
            stored_at: message.stored_at,
            due: (message.stored_at + after).min(message.expires_at),
            key: message.key,
        };
        let (subject, id) = (uid.watched(), self.names.watch_id(uid, &message.id, seq));
        let published = self.api.publish(Publish {
            subject: &subject,
            body: self.names.seal(&subject, &watch.encode()),
            replaces: false,
            id: Some(&id),
            behind: None,
            ttl: None,
        });
        published.await?;
        Ok(())
    }

    /// Gives the first watch from a position on, with its own position.
    async fn next_watch(&self, from: u64) -> Result<Option<(u64, Option<Watch>)>, StoreError> {
        let found = self.api.next(from, &self.names.watched()).await?;
        Ok(found.map(|raw| (raw.seq, self.opened_watch(&raw))))
    }

    /// Gives the watch in what the stream has kept.
    fn opened_watch(&self, raw: &RawMessage) -> Option<Watch> {
        Watch::decode(&self.names.open(&raw.subject, &raw.body)?)
    }

    /// Says whether a message is late, if this node is the one that looks after that.
    pub(super) async fn has_undelivered(&self, now: Millis, lease: &mut Lease) -> Result<bool, StoreError> {
        if !self.hold(lease).await? {
            return Ok(false);
        }
        let first = self.first(&self.watches_from, &self.names.watched()).await?;
        Ok(first.is_some_and(|raw| self.opened_watch(&raw).is_none_or(|watch| watch.due <= now)))
    }

    /// Has PHP told of late messages, at most so many, in the order in which they were stored.
    pub(super) async fn tell_undelivered(&self, now: Millis, at_most: usize) -> Result<Outcome, StoreError> {
        let (mut looked_at, mut last, mut has_more) = (0, 0, false);
        let mut from = self.watches_from.load(Ordering::Relaxed);
        while let Some((position, watch)) = self.next_watch(from).await? {
            if watch.as_ref().is_some_and(|watch| watch.due > now) {
                break;
            }
            if looked_at == at_most {
                has_more = true;
                break;
            }
            if let Some(watch) = watch {
                let uid = self.names.uid(&watch.uid);
                if self.is_undelivered(now, &uid, &watch).await? {
                    let fact = Fact::Undelivered { stored_at: watch.stored_at };
                    self.tell(now, &uid, &KeptNotice::new(&watch.uid, &watch.id, &fact)).await?;
                }
            }
            (looked_at, last, from) = (looked_at + 1, position, position.saturating_add(1));
        }
        if last > 0 {
            self.purge_up_to(&self.names.watched(), last).await?;
        }
        Ok(Outcome::Expired { removed: looked_at, has_more })
    }

    /// Says whether no device has acknowledged a message that is watched. One that another has replaced, or that is forgotten, is not
    /// asked for.
    async fn is_undelivered(&self, now: Millis, uid: &UidNames, watch: &Watch) -> Result<bool, StoreError> {
        let record = self.load(uid, now).await?.record;
        if record.forgotten >= watch.seq || record.acknowledged >= watch.seq {
            return Ok(false);
        }
        if watch.key == 0 {
            return Ok(true);
        }
        Ok(!self.places(uid, watch.seq).await?.iter().any(|(_, key)| *key == watch.key))
    }

    /// Gives the oldest notices, if this node is the one that tells them.
    pub(super) async fn notices(
        &self,
        lease: &mut Lease,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Notice>, StoreError> {
        let mut notices = Vec::new();
        if !self.hold(lease).await? {
            return Ok(notices);
        }
        let subjects = self.names.notices();
        let (mut next, mut taken) = (self.first(&self.notices_from, &subjects).await?, 0);
        while let Some(raw) = next.take().filter(|_| notices.len() < limit) {
            let body = self.names.open(&raw.subject, &raw.body);
            // What nobody with the secret has written goes with the others.
            if let Some(notice) = body.and_then(|body| KeptNotice::decode(&body)) {
                let notice = notice.into_notice(raw.seq);
                taken += notice.cost();
                if !notices.is_empty() && taken > bytes {
                    break;
                }
                notices.push(notice);
            }
            next = self.api.next(raw.seq.saturating_add(1), &subjects).await?;
        }
        Ok(notices)
    }

    pub(super) async fn notices_told(&self, up_to: u64) -> Result<Outcome, StoreError> {
        self.purge_up_to(&self.names.notices(), up_to).await?;
        Ok(Outcome::Done)
    }

    /// Forgets what PHP was to be told of a uid up to a position.
    pub(super) async fn forget_notices(&self, uid: &UidNames, up_to: u64) -> Result<(), StoreError> {
        for subject in [uid.notices(), uid.watched()] {
            self.purge_up_to(&subject, up_to).await?;
        }
        Ok(())
    }

    /// Gives the first of what these subjects have. `known` is a position before which they have nothing, so that NATS need not look through
    /// the whole stream each time.
    async fn first(&self, known: &AtomicU64, subjects: &str) -> Result<Option<RawMessage>, StoreError> {
        let end = stream::state(&self.api).await?.last_seq;
        let first = self.api.next(known.load(Ordering::Relaxed), subjects).await?;
        known.store(first.as_ref().map_or(end.saturating_add(1), |first| first.seq), Ordering::Relaxed);
        Ok(first)
    }

    async fn purge_up_to(&self, subjects: &str, seq: u64) -> Result<(), StoreError> {
        let wanted = json!({"filter": subjects, "seq": seq.saturating_add(1)});
        self.api.call("STREAM.PURGE", "", &wanted).await?;
        Ok(())
    }
}
