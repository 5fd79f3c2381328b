//! A message, and an entry of the index of ids, as the stream keeps them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::inbox::model::{Millis, NewDevice, NewMessage};

/// The version of both forms. A node reads its own alone, so that all nodes of a cluster have the same.
const VERSION: u8 = 1;

/// A message of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptMessage {
    pub(super) uid: Bytes,
    pub(super) id: Box<str>,
    pub(super) is_binary: bool,
    pub(super) for_all: bool,
    pub(super) stored_at: Millis,
    pub(super) expires_at: Millis,
    /// What it shares with the messages of the uid that replace each other; 0 if it replaces none.
    pub(super) key: u64,
    pub(super) before: Before,
    pub(super) payload: Bytes,
}

/// A position of a uid's message, and its key.
pub(super) type Place = (u64, u64);

/// The messages that each message names as those before it, at most. From the last one of a uid all others are found so, where the
/// server would look for them in all that lies between.
pub(super) const BEFORE: usize = 16;

/// The messages of a uid before one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    /// The last of them in order, without those that others of them replace: [`BEFORE`] at most.
    pub(super) places: Vec<Place>,
    /// Whether there are others before these.
    pub(super) has_more: bool,
}

/// Where the message with an id is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    /// The hash of the uid.
    pub(super) uid: Box<str>,
    pub(super) seq: u64,
    pub(super) stored_at: Millis,
    pub(super) expires_at: Millis,
}

/// The version, the uid, the id, whether the message is binary and for all new devices, when it was stored and ends, its key, the messages
/// before it, and the payload.
#[derive(Serialize, Deserialize)]
struct MessageForm<'a>(
    u8,
    #[serde(borrow)] &'a serde_bytes::Bytes,
    &'a str,
    bool,
    bool,
    Millis,
    Millis,
    u64,
    Before,
    #[serde(borrow)] &'a serde_bytes::Bytes,
);

/// The version, the uid's hash, the position, and when the message was stored and ends.
#[derive(Serialize, Deserialize)]
struct IndexForm<'a>(u8, &'a str, u64, Millis, Millis);

impl Before {
    /// Adds a message behind the others.
    pub(super) fn push(&mut self, seq: u64, key: u64) {
        if key != 0 {
            self.places.retain(|(_, of_it)| *of_it != key);
        }
        self.places.push((seq, key));
        let too_many = self.places.len().saturating_sub(BEFORE);
        self.places.drain(..too_many);
        self.has_more |= too_many > 0;
    }
}

impl KeptMessage {
    pub(super) fn new(message: &NewMessage, key: u64, now: Millis) -> Self {
        Self {
            uid: message.uid.clone(),
            id: message.id.clone(),
            is_binary: message.is_binary,
            for_all: message.new_device == NewDevice::All,
            stored_at: now,
            expires_at: now + message.ttl * 1000,
            key,
            before: Before::default(),
            payload: message.payload.clone(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let form = MessageForm(
            VERSION,
            serde_bytes::Bytes::new(&self.uid),
            &self.id,
            self.is_binary,
            self.for_all,
            self.stored_at,
            self.expires_at,
            self.key,
            self.before.clone(),
            serde_bytes::Bytes::new(&self.payload),
        );
        // Encoding plain values cannot fail.
        rmp_serde::to_vec(&form).unwrap_or_default()
    }

    /// Gives the message in a body, of which its uid and payload remain parts.
    pub(super) fn decode(body: &Bytes) -> Option<Self> {
        let MessageForm(version, uid, id, is_binary, for_all, stored_at, expires_at, key, before, payload) =
            rmp_serde::from_slice(body).ok()?;
        (version == VERSION).then(|| Self {
            uid: body.slice_ref(uid),
            id: id.into(),
            is_binary,
            for_all,
            stored_at,
            expires_at,
            key,
            before,
            payload: body.slice_ref(payload),
        })
    }

    /// Gives the message as an order had brought it.
    pub(super) fn into_new(self) -> NewMessage {
        NewMessage {
            uid: self.uid,
            id: self.id,
            payload: self.payload,
            is_binary: self.is_binary,
            ttl: self.expires_at.saturating_sub(self.stored_at) / 1000,
            replace: None,
            new_device: if self.for_all { NewDevice::All } else { NewDevice::Unacknowledged },
            producer: None,
        }
    }
}

impl IndexEntry {
    pub(super) fn encode(&self) -> Vec<u8> {
        // Encoding plain values cannot fail.
        rmp_serde::to_vec(&IndexForm(VERSION, &self.uid, self.seq, self.stored_at, self.expires_at))
            .unwrap_or_default()
    }

    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let IndexForm(version, uid, seq, stored_at, expires_at) = rmp_serde::from_slice(body).ok()?;
        (version == VERSION).then(|| Self { uid: uid.into(), seq, stored_at, expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_number_of_messages_is_named_and_of_those_that_replace_each_other_the_last() {
        let mut before = Before::default();
        before.push(1, 7);
        before.push(2, 0);
        before.push(3, 7);
        assert_eq!(before, Before { places: vec![(2, 0), (3, 7)], has_more: false });
        (4..=100).for_each(|seq| before.push(seq, 0));
        assert_eq!((before.places.len(), before.places[0], before.has_more), (BEFORE, (85, 0), true));
    }

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else() {
        let message = KeptMessage {
            uid: Bytes::from_static(&[0, 255]),
            id: "a".into(),
            is_binary: true,
            for_all: false,
            stored_at: 1_800_000_000_000,
            expires_at: 1_800_000_001_000,
            key: 7,
            before: Before { places: vec![(1, 0), (u64::MAX, u64::MAX)], has_more: true },
            payload: Bytes::from_static(b"payload"),
        };
        let body = Bytes::from(message.encode());
        assert_eq!(KeptMessage::decode(&body).as_ref(), Some(&message));
        assert_eq!(message.clone().into_new().ttl, 1);
        let mut newer = body.to_vec();
        newer[1] = VERSION + 1;
        assert_eq!(KeptMessage::decode(&newer.into()), None);
        for length in 0..body.len() {
            assert_eq!(KeptMessage::decode(&body.slice(..length)), None);
        }
        let entry = IndexEntry { uid: "ab".into(), seq: u64::MAX, stored_at: 1, expires_at: 2 };
        assert_eq!(IndexEntry::decode(&entry.encode()), Some(entry));
        assert_eq!(IndexEntry::decode(&body), None);
    }
}
