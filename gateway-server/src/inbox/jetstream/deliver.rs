//! The delivery of a message to the stream, and what makes a uid forgotten.

use serde_json::json;

use super::api::Publish;
use super::kept_notice::Watch;
use super::message::{IndexEntry, KeptMessage};
use super::names::UidNames;
use super::shared::Shared;
use super::stream;
use crate::inbox::model::{Millis, NewMessage};
use crate::inbox::store::{Outcome, Refusal, StoreError};

/// The bytes that a message takes in the stream besides its payload, with its index entry, roughly.
const OVERHEAD: u64 = 640;
/// The messages with the same id that are looked through, each of which has ended before the next one came.
const CHAIN: usize = 64;
/// The seconds for which a single message stays at least, so that its id is known for as long as NATS knows it.
const SHORTEST: u64 = 660;

impl Shared {
    pub(super) async fn deliver(
        &self,
        now: Millis,
        uid: &UidNames,
        message: &NewMessage,
    ) -> Result<Outcome, StoreError> {
        if let Err(refusal) = message.check() {
            return Ok(Outcome::Refused(refusal));
        }
        let bytes = message.payload.len() as u64 + OVERHEAD;
        if !self.has_room(bytes) {
            return Ok(Outcome::Refused(Refusal::StoreFull));
        }
        let kept = KeptMessage::new(message, now);
        let subject =
            message.replace.as_ref().map_or_else(|| uid.plain(), |key| self.names.replacing(uid, key));
        let first_id = self.names.message_id(uid, &message.id);
        let mut id = first_id.clone();
        for _ in 0..CHAIN {
            let published = self.api.publish(Publish {
                subject: &subject,
                body: self.names.seal(&subject, &kept.encode()),
                replaces: message.replace.is_some(),
                id: Some(&id),
                behind: None,
                ttl: self.settings.has_ttl.then_some(message.ttl + 1),
            });
            let ack = match published.await {
                Err(error) if error.is_full() => return Ok(Outcome::Refused(Refusal::StoreFull)),
                ack => ack?,
            };
            if !ack.is_duplicate {
                self.use_bytes(bytes);
                self.note(uid, ack.seq, &subject, &kept).await?;
                return Ok(Outcome::Stored { epoch: 0, seq: ack.seq, dropped: 0 });
            }
            if !self.has_ended(now, uid, ack.seq, &message.id).await? {
                return Ok(Outcome::Known { epoch: 0, seq: ack.seq });
            }
            // The one that NATS knows has had its time, so this one is another with the same id.
            id = format!("{first_id}.{}", ack.seq);
        }
        Err(StoreError::Io("too many messages had the same id within minutes".to_owned()))
    }

    /// Says whether a message that NATS knows had its time or was forgotten. One that was stored without its index entry gets that.
    async fn has_ended(&self, now: Millis, uid: &UidNames, seq: u64, id: &str) -> Result<bool, StoreError> {
        let (mark, subject) = (uid.forgotten(), self.names.index_of(uid, id));
        let (mark, entry) = tokio::try_join!(self.api.last(&mark), self.api.last(&subject))?;
        if mark.is_some_and(|mark| mark.seq > seq && self.opens(&mark)) {
            return Ok(true);
        }
        let entry = entry.and_then(|raw| IndexEntry::decode(&self.names.open(&raw.subject, &raw.body)?));
        if let Some(entry) = entry.filter(|entry| entry.seq == seq) {
            return Ok(entry.expires_at <= now);
        }
        match self.api.at(seq).await?.and_then(|raw| Some((self.message(&raw)?, raw.subject))) {
            Some((kept, subject)) => Ok(self.note(uid, seq, &subject, &kept).await?.expires_at <= now),
            // It was dropped or replaced.
            None => Ok(false),
        }
    }

    /// Writes where a message is to the index, behind the watch over it.
    async fn note(
        &self,
        uid: &UidNames,
        seq: u64,
        subject: &str,
        kept: &KeptMessage,
    ) -> Result<IndexEntry, StoreError> {
        let KeptMessage { stored_at, expires_at, .. } = *kept;
        let watch = |due: Millis| Watch {
            uid: kept.uid.clone(),
            id: kept.id.clone(),
            seq,
            stored_at,
            due: due.min(expires_at),
            replacing: (subject != uid.plain()).then(|| subject.to_owned()),
        };
        self.watch(uid, &kept.id, stored_at, watch).await?;
        let entry = IndexEntry { seq, stored_at: kept.stored_at, expires_at: kept.expires_at };
        let subject = self.names.index_of(uid, &kept.id);
        let ttl = kept.expires_at.saturating_sub(kept.stored_at) / 1000 + 1;
        let published = self.api.publish(Publish {
            subject: &subject,
            body: self.names.seal(&subject, &entry.encode()),
            replaces: true,
            id: None,
            behind: None,
            ttl: self.settings.has_ttl.then_some(ttl.max(SHORTEST)),
        });
        published.await?;
        Ok(entry)
    }

    /// Has everything of a uid forgotten. From the mark in the stream on, what is before it counts no more; the rest tidies up.
    pub(super) async fn forget(
        &self,
        now: Millis,
        uid: &UidNames,
        name: &[u8],
    ) -> Result<Outcome, StoreError> {
        let loaded = self.load(uid, now).await?;
        let first = self.next_message(uid, loaded.record.forgotten + 1).await?;
        if loaded.record.devices.is_empty() && first.is_none() {
            return Ok(Outcome::Ignored);
        }
        let subject = uid.forgotten();
        let published = self.api.publish(Publish {
            subject: &subject,
            body: self.names.seal(&subject, name),
            replaces: true,
            id: None,
            behind: None,
            ttl: None,
        });
        let mark = published.await?.seq;
        // Who comes to the uid next writes its new record, so that this needs no other.
        for subjects in [uid.plain(), uid.all_replacing()] {
            self.api.call("STREAM.PURGE", "", &json!({"filter": subjects, "seq": mark})).await?;
        }
        self.forget_notices(uid, mark).await?;
        if let Ok(state) = stream::state(&self.api).await {
            self.take_bytes(&state);
        }
        Ok(Outcome::Done)
    }
}
