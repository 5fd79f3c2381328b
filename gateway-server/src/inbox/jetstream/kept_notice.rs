//! Notices and watches as the stream keeps them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::inbox::model::{Device, Millis};
use crate::inbox::notices::{Fact, Notice};

/// The version of both forms.
const VERSION: u8 = 1;

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptNotice {
    pub(super) uid: Bytes,
    pub(super) id: Box<str>,
    pub(super) fact: Fact,
}

/// The watch over a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    pub(super) uid: Bytes,
    pub(super) id: Box<str>,
    /// The position of the message.
    pub(super) seq: u64,
    pub(super) stored_at: Millis,
    /// When PHP is told.
    pub(super) due: Millis,
    /// The hash of the key by which another may replace the message, or 0.
    pub(super) key: u64,
}

/// The version, the uid, the id, the sort of the fact, the sort and name of its device, its time, and when it was noted.
#[derive(Serialize, Deserialize)]
struct NoticeForm(u8, ByteBuf, String, u8, Option<(u8, String)>, Millis, Millis);

/// The version, the uid, the id, the position, when the message was stored, when PHP is told, and the key.
#[derive(Serialize, Deserialize)]
struct WatchForm(u8, ByteBuf, String, u64, Millis, Millis, u64);

impl KeptNotice {
    pub(super) fn new(uid: &Bytes, id: &str, fact: &Fact) -> Self {
        Self { uid: uid.clone(), id: id.into(), fact: fact.clone() }
    }

    pub(super) fn encode(&self, noted: Millis) -> Vec<u8> {
        let (sort, device, at) = self.fact.as_row();
        let device = device.map(Device::as_row).map(|(sort, name)| (sort, name.to_owned()));
        let uid = ByteBuf::from(&self.uid[..]);
        let form = NoticeForm(VERSION, uid, self.id.to_string(), sort, device, at, noted);
        // Encoding plain values cannot fail.
        rmp_serde::to_vec(&form).unwrap_or_default()
    }

    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let NoticeForm(version, uid, id, sort, device, at, _noted) = rmp_serde::from_slice(body).ok()?;
        let device = match device {
            Some((sort, name)) => Some(Device::from_row(sort, &name)?),
            None => None,
        };
        let fact = Fact::from_row(sort, device, at)?;
        (version == VERSION).then(|| Self { uid: uid.into_vec().into(), id: id.into(), fact })
    }

    pub(super) fn into_notice(self, number: u64) -> Notice {
        Notice { number, uid: self.uid, id: self.id, fact: self.fact }
    }
}

impl Watch {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { uid, id, seq, stored_at, due, key } = self;
        let uid = ByteBuf::from(&uid[..]);
        let form = WatchForm(VERSION, uid, id.to_string(), *seq, *stored_at, *due, *key);
        // Encoding plain values cannot fail.
        rmp_serde::to_vec(&form).unwrap_or_default()
    }

    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let WatchForm(version, uid, id, seq, stored_at, due, key) = rmp_serde::from_slice(body).ok()?;
        let uid = Bytes::from(uid.into_vec());
        (version == VERSION).then(|| Self { uid, id: id.into(), seq, stored_at, due, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else() {
        let facts = [
            Fact::Received { device: Device::Shared, at: 1 },
            Fact::Read { device: Device::Signed("é".into()), at: u64::MAX },
            Fact::Undelivered { stored_at: 3 },
        ];
        for fact in &facts {
            let notice = KeptNotice::new(&Bytes::from_static(&[0, 255]), "m", fact);
            let body = notice.encode(7);
            assert_eq!(KeptNotice::decode(&body).as_ref(), Some(&notice));
            for length in 0..body.len() {
                assert_eq!(KeptNotice::decode(&body[..length]), None);
            }
        }
        for key in [0, u64::MAX] {
            let uid = Bytes::from_static(b"anna");
            let watch = Watch { uid, id: "m".into(), seq: 5, stored_at: 6, due: u64::MAX, key };
            let body = watch.encode();
            assert_eq!(Watch::decode(&body).as_ref(), Some(&watch));
            for length in 0..body.len() {
                assert_eq!(Watch::decode(&body[..length]), None);
            }
        }
    }
}
