//! What the store's parts share: the way to the stream, and what is known of it.

use std::hash::Hasher as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use siphasher::sip::SipHasher13;

use super::api::{Api, ApiError, RawMessage};
use super::connect::JetStreamSettings;
use super::message::KeptMessage;
use super::names::{Names, UidNames};
use super::record::Record;
use super::stream::{StreamSettings, StreamState};
use crate::inbox::model::{Millis, Totals};
use crate::inbox::notices::WantedNotices;
use crate::inbox::store::StoreError;

/// What all parts of one store share.
pub(super) struct Shared {
    pub(super) api: Api,
    pub(super) names: Names,
    pub(super) settings: StreamSettings,
    /// The stream's random number.
    seed: Mutex<u128>,
    /// The bytes of the stream when they were last asked for, with those that were published since.
    used: AtomicU64,
    /// Whether something was published since.
    is_changed: AtomicBool,
    totals: Mutex<Totals>,
    pub(super) wanted: WantedNotices,
    /// Positions before which the stream has no notices, and no watches.
    pub(super) notices_from: AtomicU64,
    pub(super) watches_from: AtomicU64,
    /// The name of this node, which a process that follows this one has too.
    pub(super) node: Bytes,
}

/// A uid's record, and when it is of.
pub(super) struct Loaded {
    pub(super) record: Record,
    /// The position of the record in the stream, 0 if there is none.
    pub(super) revision: u64,
    /// Whether the stream has the record as it stands here.
    pub(super) is_kept: bool,
    pub(super) epoch: u64,
}

impl Shared {
    pub(super) fn new(
        api: Api,
        names: Names,
        settings: StreamSettings,
        state: &StreamState,
        of_node: &JetStreamSettings,
    ) -> Self {
        Self {
            api,
            names,
            settings,
            seed: Mutex::new(state.seed),
            used: AtomicU64::new(state.bytes),
            is_changed: true.into(),
            totals: Mutex::default(),
            wanted: WantedNotices::of(&of_node.server),
            notices_from: 1.into(),
            watches_from: 1.into(),
            node: Bytes::copy_from_slice(of_node.client.as_bytes()),
        }
    }

    pub(super) fn seed(&self) -> u128 {
        *self.seed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_bytes(&self, state: &StreamState) {
        self.used.store(state.bytes, Ordering::Relaxed);
    }

    /// Takes what the stream is now. Gives whether it is another one than before.
    pub(super) fn take(&self, state: &StreamState) -> bool {
        self.take_bytes(state);
        let before =
            std::mem::replace(&mut *self.seed.lock().unwrap_or_else(PoisonError::into_inner), state.seed);
        let is_another = before != state.seed;
        if is_another {
            self.notices_from.store(1, Ordering::Relaxed);
            self.watches_from.store(1, Ordering::Relaxed);
        }
        is_another
    }

    /// Counts what is published.
    pub(super) fn use_bytes(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        self.is_changed.store(true, Ordering::Relaxed);
    }

    /// Says whether the stream has so many bytes for messages.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.used.load(Ordering::Relaxed).saturating_add(bytes) <= self.settings.bounds.store_bytes
    }

    /// Says whether something was published since this was asked last.
    pub(super) fn was_changed(&self) -> bool {
        self.is_changed.swap(false, Ordering::Relaxed)
    }

    pub(super) fn totals(&self) -> Totals {
        let totals = *self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        Totals { bytes: self.used.load(Ordering::Relaxed), ..totals }
    }

    pub(super) fn count(&self, uids: u64, messages: u64, notices: u64) {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner) =
            Totals { uids, messages, notices, ..Totals::default() };
    }

    /// Gives the epoch of a uid that was forgotten last at this position.
    pub(super) fn epoch(&self, uid: &UidNames, forgotten: u64) -> u64 {
        let seed = self.seed();
        let mut hasher = SipHasher13::new_with_keys(seed as u64, (seed >> 64) as u64);
        hasher.write(uid.hash().as_bytes());
        hasher.write_u64(forgotten);
        hasher.finish()
    }

    /// Gives what is known of a uid. What stands before the last mark that it was forgotten does not count, whoever was to remove it.
    pub(super) async fn load(&self, uid: &UidNames, now: Millis) -> Result<Loaded, StoreError> {
        let (subject, mark) = (uid.record(), uid.forgotten());
        let (kept, mark) = tokio::try_join!(self.api.last(&subject), self.api.last(&mark))?;
        let revision = kept.as_ref().map_or(0, |kept| kept.seq);
        let mut record = match kept {
            None => Record::default(),
            Some(kept) => {
                let body = self.names.open(&subject, &kept.body).and_then(|body| Record::decode(&body));
                body.ok_or_else(|| damaged("the record of a uid", kept.seq))?
            }
        };
        let mut is_kept = revision > 0;
        // A mark that somebody without the secret has written is none.
        let forgotten = mark.filter(|mark| self.opens(mark)).map_or(0, |mark| mark.seq);
        if forgotten > record.forgotten {
            (record, is_kept) = (Record { forgotten, ..Record::default() }, false);
        }
        record.expire(now);
        let epoch = self.epoch(uid, record.forgotten);
        Ok(Loaded { record, revision, is_kept, epoch })
    }

    /// Gives the message at a position; `None` if it has gone.
    pub(super) async fn message_at(&self, seq: u64) -> Result<Option<KeptMessage>, ApiError> {
        Ok(self.api.at(seq).await?.and_then(|raw| self.message(&raw)))
    }

    /// Gives the message in what the stream has kept.
    pub(super) fn message(&self, raw: &RawMessage) -> Option<KeptMessage> {
        let (_, words) = self.names.of_news(&raw.subject)?;
        if words != "m" {
            return None;
        }
        KeptMessage::decode(&self.names.open(&raw.subject, &raw.body)?)
    }

    pub(super) fn opens(&self, raw: &RawMessage) -> bool {
        self.names.open(&raw.subject, &raw.body).is_some()
    }
}

pub(super) fn damaged(what: &str, seq: u64) -> StoreError {
    StoreError::Damaged(format!(
        "{what} at position {seq} of the stream is not understood: was it written by another release, or with another secret_key?"
    ))
}
