//! What the stream is asked.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use super::api::ApiError;
use super::message::IndexEntry;
use super::names::UidNames;
use super::record::Record;
use super::shared::{Loaded, Shared};
use crate::inbox::model::{
    DeviceInbox, DeviceReceipt, Millis, PageRequest, Receipt, UidInbox, UidSummary, WaitingMessage,
    WaitingPage,
};
use crate::inbox::store::StoreError;

/// The messages or uids that are asked for at the same time.
const TOGETHER: usize = 32;

/// What waits in one inbox.
#[derive(Default)]
struct Counted {
    uid: Option<bytes::Bytes>,
    messages: u64,
    bytes: u64,
    /// What waits for each device of the record.
    waiting: Vec<u64>,
}

impl Shared {
    /// Gives messages that wait for a device.
    pub(super) async fn waiting(&self, now: Millis, wanted: &PageRequest) -> Result<WaitingPage, StoreError> {
        let PageRequest { uid, device, after, messages, bytes } = wanted;
        let uid = self.names.uid(uid);
        let Loaded { record, epoch, .. } = self.load(&uid, now).await?;
        let mut page = WaitingPage { epoch: Some(epoch), ..WaitingPage::default() };
        let Some(device) = record.device(device) else { return Ok(page) };
        let places = self.places(&uid, (*after).max(device.acknowledged).max(record.forgotten)).await?;
        let found = stream::iter(places)
            .map(async |(seq, _)| Ok::<_, StoreError>((seq, self.message_at(seq).await?)))
            .buffered(TOGETHER);
        let mut found = std::pin::pin!(found);
        let mut taken = 0;
        while let Some((seq, message)) = found.try_next().await? {
            let Some(message) = message else { continue };
            if message.expires_at <= now || !device.waits_for(seq, message.for_all) {
                continue;
            }
            let count = page.messages.len();
            if count > 0 && (count >= *messages || taken + message.payload.len() > *bytes) {
                page.has_more = true;
                break;
            }
            taken += message.payload.len();
            page.messages.push(WaitingMessage {
                seq,
                id: message.id,
                payload: message.payload,
                is_binary: message.is_binary,
                stored_at: message.stored_at,
                expires_at: message.expires_at,
            });
        }
        // What comes behind a mark that the uid was forgotten is of another epoch.
        let mark = self.api.last(&uid.forgotten()).await?.filter(|mark| self.opens(mark));
        if mark.is_some_and(|mark| mark.seq > record.forgotten) {
            return Err(StoreError::Io("the uid was forgotten meanwhile".to_owned()));
        }
        Ok(page)
    }

    /// Gives what has become of a message, for each uid that has it.
    pub(super) async fn receipt(
        &self,
        now: Millis,
        id: &str,
        uids: usize,
    ) -> Result<Vec<Receipt>, StoreError> {
        let mut receipts = Vec::new();
        for entry in self.entries(id, uids).await? {
            if entry.expires_at > now {
                receipts.extend(self.receipt_of(now, entry).await?);
            }
        }
        Ok(receipts)
    }

    /// Gives what the index says of an id: the last entry of each uid, for so many uids at most.
    pub(super) async fn entries(&self, id: &str, uids: usize) -> Result<Vec<IndexEntry>, ApiError> {
        let subject = self.names.index(id);
        let (mut entries, mut from) = (Vec::<IndexEntry>::new(), 1);
        while let Some(raw) = self.api.next(from, &subject).await? {
            from = raw.seq.saturating_add(1);
            let body = self.names.open(&raw.subject, &raw.body);
            let Some(entry) = body.and_then(|body| IndexEntry::decode(&body)) else { continue };
            match entries.iter().position(|known| known.uid == entry.uid) {
                Some(at) => entries[at] = entry,
                None if entries.len() < uids => entries.push(entry),
                None => {}
            }
        }
        Ok(entries)
    }

    async fn receipt_of(&self, now: Millis, entry: IndexEntry) -> Result<Option<Receipt>, StoreError> {
        let uid = self.names.of_hash(&entry.uid);
        let (loaded, kept) = tokio::join!(self.load(&uid, now), self.message_at(entry.seq));
        let (record, kept) = (loaded?.record, kept?);
        if entry.seq <= record.forgotten {
            return Ok(None);
        }
        // Of a message that was dropped or replaced, nobody knows the uid any more, and whether devices had it.
        let Some(kept) = kept else { return Ok(None) };
        let devices = record.devices.iter().filter(|known| kept.for_all || entry.seq > known.floor);
        let devices = devices.filter_map(|known| {
            Some(DeviceReceipt {
                device: known.device.clone(),
                written_at: Some(known.written_at.reached(entry.seq)?),
                received_at: known.received_at.reached(entry.seq),
                read_at: known.read_at.at(entry.seq),
            })
        });
        Ok(Some(Receipt {
            devices: devices.collect(),
            uid: kept.uid,
            seq: entry.seq,
            stored_at: entry.stored_at,
            expires_at: entry.expires_at,
            is_waiting: record.is_waiting(entry.seq, kept.for_all),
        }))
    }

    /// Gives what waits for a uid.
    pub(super) async fn inbox_of(&self, now: Millis, uid: &[u8]) -> Result<Option<UidInbox>, StoreError> {
        let uid = self.names.uid(uid);
        let Loaded { record, epoch, .. } = self.load(&uid, now).await?;
        let counted = self.count_uid(now, &uid, &record).await?;
        if record.devices.is_empty() && counted.messages == 0 {
            return Ok(None);
        }
        let devices = record.devices.iter().zip(&counted.waiting).map(|(known, waiting)| DeviceInbox {
            device: known.device.clone(),
            acknowledged: known.acknowledged,
            written: known.written,
            waiting: *waiting,
            lost: 0,
            seen_at: known.seen,
        });
        let Counted { messages, bytes, .. } = counted;
        Ok(Some(UidInbox { epoch, messages, bytes, devices: devices.collect() }))
    }

    /// Gives uids for which messages wait, in the order of their hashes.
    pub(super) async fn uids(
        &self,
        now: Millis,
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<UidSummary>, StoreError> {
        let after = (!after.is_empty()).then(|| self.names.uid(after));
        let mut found = Vec::new();
        for first in after.as_ref().map_or(0, UidNames::first)..=u8::MAX {
            let body = json!({"subjects_filter": self.names.part(first)});
            let info = self.api.call("STREAM.INFO", "", &body).await?;
            let subjects = info["state"]["subjects"].as_object();
            let uids = subjects
                .into_iter()
                .flatten()
                .filter_map(|(subject, _)| Some(self.names.of_news(subject)?.0));
            let mut uids: Vec<_> =
                uids.filter(|uid| after.as_ref().is_none_or(|after| uid.hash() > after.hash())).collect();
            uids.sort_unstable_by(|one, other| one.hash().cmp(other.hash()));
            uids.dedup();
            let summaries = stream::iter(uids).map(|uid| self.summary(now, uid)).buffered(TOGETHER);
            let mut summaries = std::pin::pin!(summaries);
            while let Some(summary) = summaries.try_next().await? {
                found.extend(summary);
                if found.len() >= limit {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    async fn summary(&self, now: Millis, uid: UidNames) -> Result<Option<UidSummary>, StoreError> {
        let record = self.load(&uid, now).await?.record;
        let Counted { uid, messages, bytes, .. } = self.count_uid(now, &uid, &record).await?;
        Ok(uid.filter(|_| messages > 0).map(|uid| UidSummary { uid, messages, bytes }))
    }

    /// Counts what waits for a uid and its devices.
    async fn count_uid(&self, now: Millis, uid: &UidNames, record: &Record) -> Result<Counted, StoreError> {
        let mut counted = Counted { waiting: vec![0; record.devices.len()], ..Counted::default() };
        let all_have = record.devices.iter().map(|known| known.acknowledged).min().unwrap_or(0);
        let places = self.places(uid, all_have.max(record.forgotten)).await?;
        let found = stream::iter(places)
            .map(async |(seq, _)| Ok::<_, StoreError>((seq, self.message_at(seq).await?)))
            .buffered(TOGETHER);
        let mut found = std::pin::pin!(found);
        while let Some((seq, message)) = found.try_next().await? {
            let Some(message) = message else { continue };
            if message.expires_at <= now || !record.is_waiting(seq, message.for_all) {
                continue;
            }
            counted.messages += 1;
            counted.bytes += message.payload.len() as u64;
            for (known, waiting) in record.devices.iter().zip(&mut counted.waiting) {
                *waiting += u64::from(known.waits_for(seq, message.for_all));
            }
            counted.uid = Some(message.uid);
        }
        Ok(counted)
    }
}
