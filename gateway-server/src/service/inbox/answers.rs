//! Questions about messages in the inbox.

use bytes::Bytes;
use gateway_wire::bridge::{AnswerValue, PhpStr};

use super::durable::no_store;
use crate::inbox::model::{Device, DeviceInbox, DeviceReceipt, Millis, Receipt, UidInbox};
use crate::service::Gateway;

/// The number of uids of which a receipt tells.
const UIDS: usize = 1000;

impl Gateway {
    /// Says what has become of a message.
    pub(in crate::service) async fn receipt(&self, id: PhpStr<'_>) -> Result<AnswerValue, String> {
        let inbox = self.inbox.as_ref().ok_or_else(no_store)?;
        let id = String::from_utf8_lossy(id).into_owned().into_boxed_str();
        let receipts = inbox.receipt(id, UIDS).await.map_err(|error| error.to_string())?;
        Ok(AnswerValue::List(receipts.into_iter().map(of_receipt).collect()))
    }

    /// Says what waits for a uid.
    pub(in crate::service) async fn inbox_of(&self, uid: PhpStr<'_>) -> Result<AnswerValue, String> {
        let inbox = self.inbox.as_ref().ok_or_else(no_store)?;
        let found = inbox.inbox_of(Bytes::copy_from_slice(uid)).await.map_err(|error| error.to_string())?;
        Ok(found.map_or(AnswerValue::Null, of_uid))
    }
}

fn of_receipt(receipt: Receipt) -> AnswerValue {
    let Receipt { uid, seq: _, stored_at, expires_at, is_waiting, devices } = receipt;
    fields([
        ("uid", AnswerValue::Str(uid.to_vec())),
        ("stored", count(stored_at)),
        ("expires", count(expires_at)),
        ("waiting", AnswerValue::Bool(is_waiting)),
        ("devices", AnswerValue::List(devices.into_iter().map(of_device_receipt).collect())),
    ])
}

fn of_device_receipt(receipt: DeviceReceipt) -> AnswerValue {
    let DeviceReceipt { device, written_at, received_at, read_at } = receipt;
    let time = |time: Option<Millis>| time.map_or(AnswerValue::Null, count);
    fields([
        ("device", name(&device)),
        ("signed", AnswerValue::Bool(device.is_signed())),
        ("written", time(written_at)),
        ("received", time(received_at)),
        ("read", time(read_at)),
    ])
}

fn of_uid(inbox: UidInbox) -> AnswerValue {
    let UidInbox { epoch: _, messages, bytes, devices } = inbox;
    fields([
        ("messages", count(messages)),
        ("bytes", count(bytes)),
        ("devices", AnswerValue::List(devices.into_iter().map(of_device).collect())),
    ])
}

fn of_device(inbox: DeviceInbox) -> AnswerValue {
    let DeviceInbox { device, acknowledged: _, written: _, waiting, lost, seen_at } = inbox;
    fields([
        ("device", name(&device)),
        ("signed", AnswerValue::Bool(device.is_signed())),
        ("waiting", count(waiting)),
        ("lost", count(lost)),
        ("seen", count(seen_at)),
    ])
}

/// Gives the name of a device, which is empty for the one that connections without a name share.
fn name(device: &Device) -> AnswerValue {
    AnswerValue::Str(device.as_row().1.as_bytes().to_vec())
}

fn count(number: u64) -> AnswerValue {
    AnswerValue::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn fields<const N: usize>(fields: [(&str, AnswerValue); N]) -> AnswerValue {
    AnswerValue::Map(
        fields.into_iter().map(|(name, value)| (AnswerValue::Str(name.as_bytes().to_vec()), value)).collect(),
    )
}
