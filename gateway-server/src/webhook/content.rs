//! What a webhook is sent.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::inbox::notices::{Fact, Notice};

/// Gives the id of a request, which is the same whenever it has the same notices.
pub(super) fn id(notices: &[Notice]) -> String {
    let mut hash = Sha256::new();
    for notice in notices {
        hash.update(notice.number.to_be_bytes());
        hash.update((notice.uid.len() as u64).to_be_bytes());
        hash.update(&notice.uid);
        hash.update(notice.id.as_bytes());
    }
    format!("msg_{}", URL_SAFE_NO_PAD.encode(&hash.finalize()[..18]))
}

/// Gives the body of a request. `time` is when it is sent.
pub(super) fn body(notices: &[Notice], time: &str) -> Vec<u8> {
    let (mut receipts, mut undelivered) = (Vec::new(), Vec::new());
    for Notice { uid, id, fact, .. } in notices {
        let (event, device, at) = match fact {
            Fact::Received { device, at } => ("received", device, at),
            Fact::Read { device, at } => ("read", device, at),
            Fact::Undelivered { stored_at } => {
                undelivered.push(json!({ "uid": text(uid), "id": id, "stored": stored_at }));
                continue;
            }
        };
        receipts.push(json!({
            "uid": text(uid),
            "id": id,
            "device": device.as_row().1,
            "signed": device.is_signed(),
            "event": event,
            "at": at,
        }));
    }
    let data = json!({ "receipts": receipts, "undelivered": undelivered });
    json!({ "type": "inbox.notices", "timestamp": time, "data": data }).to_string().into_bytes()
}

/// Gives bytes as JSON has them: a string, or base64 if they are not UTF-8.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::inbox::bounds::{DEVICE_BYTES, ID_BYTES, UID_BYTES};
    use crate::inbox::model::Device;
    use crate::inbox::notices::{BATCH, BATCH_BYTES};

    fn notices() -> Vec<Notice> {
        let notice = |number, uid: &'static [u8], fact| Notice {
            number,
            uid: Bytes::from_static(uid),
            id: format!("m{number}").into(),
            fact,
        };
        vec![
            notice(1, b"anna", Fact::Received { device: Device::Invented("phone".into()), at: 5 }),
            notice(2, b"\xff", Fact::Read { device: Device::Signed("tablet".into()), at: 6 }),
            notice(3, b"anna", Fact::Undelivered { stored_at: 7 }),
            notice(4, b"ben", Fact::Received { device: Device::Shared, at: 8 }),
        ]
    }

    #[test]
    fn the_body_has_all_in_their_order() {
        let body: Value = serde_json::from_slice(&body(&notices(), "2026-11-29T20:00:00Z")).unwrap();
        let expected = json!({
            "type": "inbox.notices",
            "timestamp": "2026-11-29T20:00:00Z",
            "data": {
                "receipts": [
                    { "uid": "anna", "id": "m1", "device": "phone", "signed": false, "event": "received", "at": 5 },
                    { "uid": { "base64": "/w==" }, "id": "m2", "device": "tablet", "signed": true, "event": "read", "at": 6 },
                    { "uid": "ben", "id": "m4", "device": "", "signed": false, "event": "received", "at": 8 },
                ],
                "undelivered": [{ "uid": "anna", "id": "m3", "stored": 7 }],
            },
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn no_batch_has_more_than_receivers_take() {
        // A control character takes six bytes of JSON.
        let uid = Bytes::from(vec![1; UID_BYTES]);
        let device = Device::Signed("\u{1}".repeat(DEVICE_BYTES).into());
        let fact = Fact::Received { device, at: u64::MAX };
        let notice = Notice { number: 1, uid, id: "i".repeat(ID_BYTES).into(), fact };
        let count = (BATCH_BYTES / notice.cost()).clamp(1, BATCH);
        let length = body(&vec![notice; count], "2026-11-29T20:00:00.123456Z").len();
        assert!((512 << 10..1 << 20).contains(&length), "{length}");
    }

    #[test]
    fn the_id_is_that_of_the_notices() {
        let all = notices();
        assert_eq!(id(&all), id(&notices()));
        assert_ne!(id(&all), id(&all[..3]));
        assert!(id(&all).starts_with("msg_") && id(&all).len() == 28);
    }
}
