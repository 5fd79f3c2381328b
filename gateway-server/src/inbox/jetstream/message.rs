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
    pub(super) payload: Bytes,
}

/// Where the message with an id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) seq: u64,
    pub(super) stored_at: Millis,
    pub(super) expires_at: Millis,
}

/// The version, the uid, the id, whether the message is binary and for all new devices, when it was stored and ends, and the payload.
#[derive(Serialize, Deserialize)]
struct MessageForm<'a>(
    u8,
    #[serde(borrow)] &'a serde_bytes::Bytes,
    &'a str,
    bool,
    bool,
    Millis,
    Millis,
    #[serde(borrow)] &'a serde_bytes::Bytes,
);

/// The version, the position, and when the message was stored and ends.
#[derive(Serialize, Deserialize)]
struct IndexForm(u8, u64, Millis, Millis);

impl KeptMessage {
    pub(super) fn new(message: &NewMessage, now: Millis) -> Self {
        Self {
            uid: message.uid.clone(),
            id: message.id.clone(),
            is_binary: message.is_binary,
            for_all: message.new_device == NewDevice::All,
            stored_at: now,
            expires_at: now + message.ttl * 1000,
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
            serde_bytes::Bytes::new(&self.payload),
        );
        // Encoding plain values cannot fail.
        rmp_serde::to_vec(&form).unwrap_or_default()
    }

    /// Gives the message in a body, of which its uid and payload remain parts.
    pub(super) fn decode(body: &Bytes) -> Option<Self> {
        let MessageForm(version, uid, id, is_binary, for_all, stored_at, expires_at, payload) =
            rmp_serde::from_slice(body).ok()?;
        (version == VERSION).then(|| Self {
            uid: body.slice_ref(uid),
            id: id.into(),
            is_binary,
            for_all,
            stored_at,
            expires_at,
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
        rmp_serde::to_vec(&IndexForm(VERSION, self.seq, self.stored_at, self.expires_at)).unwrap_or_default()
    }

    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let IndexForm(version, seq, stored_at, expires_at) = rmp_serde::from_slice(body).ok()?;
        (version == VERSION).then_some(Self { seq, stored_at, expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else() {
        let message = KeptMessage {
            uid: Bytes::from_static(&[0, 255]),
            id: "a".into(),
            is_binary: true,
            for_all: false,
            stored_at: 1_800_000_000_000,
            expires_at: 1_800_000_001_000,
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
        let entry = IndexEntry { seq: u64::MAX, stored_at: 1, expires_at: 2 };
        assert_eq!(IndexEntry::decode(&entry.encode()), Some(entry));
        assert_eq!(IndexEntry::decode(&body), None);
    }
}
