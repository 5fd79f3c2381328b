//! The delivery of a message to the stream, and what makes a uid forgotten.

use serde_json::json;

use super::api::Publish;
use super::chain::ChainEnd;
use super::message::{Before, IndexEntry, KeptMessage, Place};
use super::names::UidNames;
use super::shared::Shared;
use super::stream;
use crate::inbox::model::{Millis, NewMessage};
use crate::inbox::store::{Outcome, Refusal, StoreError};

/// The bytes that a message takes in the stream besides its payload, with its index entry, roughly.
const OVERHEAD: u64 = 640;
/// How often a message is published anew, as another one of its uid or its id has come before.
const TRIES: usize = 64;
/// The seconds for which a single message stays at least, so that its id is known for as long as NATS knows it.
const SHORTEST: u64 = 660;

impl Shared {
    /// Delivers a message behind the last one of its uid, which `end` names if it is known.
    pub(super) async fn deliver(
        &self,
        now: Millis,
        uid: &UidNames,
        message: &NewMessage,
        end: &mut Option<ChainEnd>,
    ) -> Result<Outcome, StoreError> {
        if let Err(refusal) = message.check() {
            return Ok(Outcome::Refused(refusal));
        }
        let bytes = message.payload.len() as u64 + OVERHEAD;
        if !self.has_room(bytes) {
            return Ok(Outcome::Refused(Refusal::StoreFull));
        }
        let key = message.replace.as_ref().map_or(0, |key| self.names.replace_key(uid, key));
        let (mut kept, subject) = (KeptMessage::new(message, key, now), uid.messages());
        let first_id = self.names.message_id(uid, &message.id);
        let (mut id, mut stale) = (first_id.clone(), None);
        for _ in 0..TRIES {
            let behind = match end.take() {
                Some(end) => end,
                None => self.chain_end(uid).await?,
            };
            kept.before.clone_from(&behind.before);
            // A server from which the last message was removed may name an earlier one than it gives.
            let is_stale = stale.is_some_and(|(last, told)| last == behind.last && told < last);
            let expected = stale.filter(|_| is_stale).map_or(behind.last, |(_, told)| told);
            let published = self.api.publish(Publish {
                subject: &subject,
                body: self.names.seal(&subject, &kept.encode()),
                replaces: false,
                id: Some(&id),
                behind: Some(expected),
                ttl: self.settings.has_ttl.then_some(message.ttl + 1),
            });
            let ack = match published.await {
                Err(error) if error.is_full() => return Ok(Outcome::Refused(Refusal::StoreFull)),
                // Another node has stored one for the uid meanwhile.
                Err(error) if error.is_wrong_sequence() => {
                    stale = error.told_sequence().map(|told| (behind.last, told));
                    continue;
                }
                ack => ack?,
            };
            if !ack.is_duplicate {
                self.use_bytes(bytes);
                self.note(uid, ack.seq, &kept).await?;
                if key != 0 {
                    self.remove_replaced(uid, &behind.before, key, ack.seq).await?;
                }
                let mut before = behind.before;
                before.push(ack.seq, key);
                *end = Some(ChainEnd { last: ack.seq, before });
                return Ok(Outcome::Stored { epoch: 0, seq: ack.seq, dropped: 0 });
            }
            *end = Some(behind);
            if !self.has_ended(now, uid, ack.seq, &message.id).await? {
                return Ok(Outcome::Known { epoch: 0, seq: ack.seq });
            }
            // The one that NATS knows has had its time, so this one is another with the same id.
            id = format!("{first_id}.{}", ack.seq);
        }
        Err(StoreError::Io(
            "other nodes store messages of the uid all the time, or too many have the same id".to_owned(),
        ))
    }

    /// Removes what a message replaces. Nobody reads it any more, but it would show again if the message that replaces it went first.
    async fn remove_replaced(
        &self,
        uid: &UidNames,
        before: &Before,
        key: u64,
        by: u64,
    ) -> Result<(), StoreError> {
        let is_replaced = |place: &&Place| place.1 == key && place.0 < by;
        let mut replaced: Vec<_> = before.places.iter().filter(is_replaced).copied().collect();
        if replaced.is_empty() && before.has_more {
            replaced = self.all_places(uid, 0).await?.iter().filter(is_replaced).copied().collect();
        }
        for (seq, _) in replaced {
            // It takes room until its time ends, if it cannot be removed, or has gone already.
            let body = json!({"seq": seq, "no_erase": true});
            if let Err(error) = self.api.call("STREAM.MSG.DELETE", "", &body).await {
                tracing::debug!(%error, seq, "a message that was replaced is not removed");
            }
        }
        Ok(())
    }

    /// Says whether a message that NATS knows had its time or was forgotten. One that was stored without its index entry gets that.
    async fn has_ended(&self, now: Millis, uid: &UidNames, seq: u64, id: &str) -> Result<bool, StoreError> {
        let mark = uid.forgotten();
        let (mark, raw) = tokio::try_join!(self.api.last(&mark), self.api.at(seq))?;
        if mark.is_some_and(|mark| mark.seq > seq && self.opens(&mark)) {
            return Ok(true);
        }
        let entry = self.entries(id, usize::MAX).await?.into_iter().find(|entry| entry.seq == seq);
        if let Some(entry) = entry {
            return Ok(entry.expires_at <= now);
        }
        match raw.and_then(|raw| self.message(&raw)) {
            Some(kept) => {
                self.note(uid, seq, &kept).await?;
                Ok(kept.expires_at <= now)
            }
            // It was dropped or replaced.
            None => Ok(false),
        }
    }

    /// Writes where a message is to the index, behind the watch over it.
    async fn note(&self, uid: &UidNames, seq: u64, kept: &KeptMessage) -> Result<(), StoreError> {
        self.watch(uid, seq, kept).await?;
        let (uid, stored_at, expires_at) = (uid.hash().into(), kept.stored_at, kept.expires_at);
        let entry = IndexEntry { uid, seq, stored_at, expires_at };
        let subject = self.names.index(&kept.id);
        let ttl = kept.expires_at.saturating_sub(kept.stored_at) / 1000 + 1;
        let published = self.api.publish(Publish {
            subject: &subject,
            body: self.names.seal(&subject, &entry.encode()),
            replaces: false,
            id: None,
            behind: None,
            ttl: self.settings.has_ttl.then_some(ttl.max(SHORTEST)),
        });
        published.await?;
        Ok(())
    }

    /// Has everything of a uid forgotten. From the mark in the stream on, what is before it counts no more; the rest tidies up.
    pub(super) async fn forget(
        &self,
        now: Millis,
        uid: &UidNames,
        name: &[u8],
    ) -> Result<Outcome, StoreError> {
        let record = self.load(uid, now).await?.record;
        let last = self.api.last(&uid.messages()).await?.map_or(0, |last| last.seq);
        if record.devices.is_empty() && last <= record.forgotten {
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
        self.api.call("STREAM.PURGE", "", &json!({"filter": uid.messages(), "seq": mark})).await?;
        self.forget_notices(uid, mark).await?;
        if let Ok(state) = stream::state(&self.api).await {
            self.take_bytes(&state);
        }
        Ok(Outcome::Done)
    }
}
