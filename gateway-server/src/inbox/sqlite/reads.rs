//! What a store is asked.

use bytes::Bytes;
use rusqlite::{Result, params};

use crate::inbox::model::{
    DeviceInbox, DeviceReceipt, Millis, PageRequest, Receipt, UidInbox, UidSummary, WaitingMessage,
    WaitingPage,
};

use super::rows::{DeviceRow, UidRow};
use super::statements::Statements;

/// Gives messages that wait for a device.
pub(super) fn waiting(
    statements: &mut Statements<'_>,
    now: Millis,
    wanted: &PageRequest,
) -> Result<WaitingPage> {
    let PageRequest { uid, device, after, messages, bytes } = wanted;
    let mut page = WaitingPage::default();
    let Some(uid) = UidRow::find(statements, uid)? else { return Ok(page) };
    let devices = DeviceRow::of(statements, uid.key)?;
    let Some(device) = devices.into_iter().find(|known| known.device == *device) else { return Ok(page) };
    let after = i64::try_from((*after).max(device.acknowledged)).unwrap_or(i64::MAX);
    let sql = "SELECT seq, id, payload, is_binary, stored, expires FROM messages INDEXED BY messages_with_payload
        WHERE uid = ? AND seq > ? AND payload IS NOT NULL AND expires > ? AND (for_all OR seq > ?) ORDER BY seq";
    page.lost = device.lost;
    let parameters = params![uid.key, after, now.cast_signed(), device.floor.cast_signed()];
    let (mut count, mut taken) = (0, 0);
    page.messages = statements.until(sql, parameters, |row| {
        let payload = row.get_ref(2)?.as_blob()?;
        if count > 0 && (count >= *messages || taken + payload.len() > *bytes) {
            page.has_more = true;
            return Ok(None);
        }
        (count, taken) = (count + 1, taken + payload.len());
        Ok(Some(WaitingMessage {
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            id: row.get(1)?,
            payload: Bytes::copy_from_slice(payload),
            is_binary: row.get(3)?,
            stored_at: row.get::<_, i64>(4)?.cast_unsigned(),
            expires_at: row.get::<_, i64>(5)?.cast_unsigned(),
        }))
    })?;
    Ok(page)
}

/// Gives what has become of a message, for each uid that has it.
pub(super) fn receipt(
    statements: &mut Statements<'_>,
    now: Millis,
    id: &str,
    uids: usize,
) -> Result<Vec<Receipt>> {
    let sql = "SELECT messages.uid, uids.uid, seq, stored, expires, payload IS NOT NULL, for_all, ended
        FROM messages JOIN uids ON uids.key = messages.uid WHERE id = ? AND expires > ? ORDER BY messages.uid LIMIT ?";
    let wanted = params![id, now.cast_signed(), i64::try_from(uids).unwrap_or(i64::MAX)];
    let found = statements.all(sql, wanted, |row| {
        let receipt = Receipt {
            uid: Bytes::from(row.get::<_, Vec<u8>>(1)?),
            seq: row.get::<_, i64>(2)?.cast_unsigned(),
            stored_at: row.get::<_, i64>(3)?.cast_unsigned(),
            expires_at: row.get::<_, i64>(4)?.cast_unsigned(),
            is_waiting: row.get(5)?,
            devices: Vec::new(),
        };
        let ended = row.get::<_, Option<i64>>(7)?.map(i64::cast_unsigned);
        Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(6)?, ended, receipt))
    })?;
    let mut receipts = Vec::with_capacity(found.len());
    for (key, for_all, ended, mut receipt) in found {
        for device in DeviceRow::of(statements, key)? {
            if !for_all && receipt.seq <= device.floor {
                continue;
            }
            let mut at = |sort: i64, sql| -> Result<Option<Millis>> {
                let mark = params![key, device.number, sort, receipt.seq.cast_signed()];
                statements.first(sql, mark, |row| row.get::<_, i64>(0).map(i64::cast_unsigned))
            };
            let up_to = "SELECT at FROM marks WHERE uid = ? AND device = ? AND sort = ? AND seq >= ? ORDER BY seq LIMIT 1";
            let alone = "SELECT at FROM marks WHERE uid = ? AND device = ? AND sort = ? AND seq = ?";
            // A message that had been dropped was written to no device later, although later messages were.
            let written_at = at(0, up_to)?.filter(|at| ended.is_none_or(|ended| *at < ended));
            if written_at.is_none() {
                continue;
            }
            let (received_at, read_at) = (at(1, up_to)?, at(2, alone)?);
            receipt.devices.push(DeviceReceipt { device: device.device, written_at, received_at, read_at });
        }
        receipts.push(receipt);
    }
    Ok(receipts)
}

/// Gives uids for which messages wait.
pub(super) fn uids(statements: &mut Statements<'_>, after: &[u8], limit: usize) -> Result<Vec<UidSummary>> {
    let sql = "SELECT uid, messages, bytes FROM uids WHERE uid > ? AND messages > 0 ORDER BY uid LIMIT ?";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statements.all(sql, params![after, limit], |row| {
        Ok(UidSummary {
            uid: Bytes::from(row.get::<_, Vec<u8>>(0)?),
            messages: row.get::<_, i64>(1)?.cast_unsigned(),
            bytes: row.get::<_, i64>(2)?.cast_unsigned(),
        })
    })
}

/// Gives what waits for a uid.
pub(super) fn inbox_of(
    statements: &mut Statements<'_>,
    now: Millis,
    store_epoch: u64,
    uid: &[u8],
) -> Result<Option<UidInbox>> {
    let Some(uid) = UidRow::find(statements, uid)? else { return Ok(None) };
    let mut devices = Vec::new();
    for device in DeviceRow::of(statements, uid.key)? {
        let sql = "SELECT count(*) FROM messages INDEXED BY messages_with_payload
            WHERE uid = ? AND seq > ? AND payload IS NOT NULL AND expires > ? AND (for_all OR seq > ?)";
        let numbers = [device.acknowledged, now, device.floor].map(u64::cast_signed);
        let waiting = statements
            .first(sql, params![uid.key, numbers[0], numbers[1], numbers[2]], |row| row.get::<_, i64>(0))?;
        devices.push(DeviceInbox {
            device: device.device,
            acknowledged: device.acknowledged,
            written: device.written,
            waiting: waiting.unwrap_or(0).cast_unsigned(),
            lost: device.lost,
            seen_at: device.seen,
        });
    }
    Ok(Some(UidInbox { epoch: uid.epoch(store_epoch), messages: uid.messages, bytes: uid.bytes, devices }))
}
