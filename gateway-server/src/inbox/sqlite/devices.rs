//! Devices: their coming, and how far each has come.

use rusqlite::{Result, params};

use crate::inbox::bounds::SEEN_STEP;
use crate::inbox::model::Device;
use crate::inbox::store::{Arrival, Outcome, Refusal, check_device};

use super::batch::Batch;
use super::rows::{DeviceRow, UidRow};

/// The sorts of marks.
const WRITTEN: i64 = 0;
const RECEIVED: i64 = 1;
const READ: i64 = 2;

impl Batch<'_> {
    pub(super) fn arrive(&mut self, uid: &[u8], device: &Device) -> Result<Outcome> {
        if let Err(refusal) = check_device(uid, device) {
            return Ok(Outcome::Refused(refusal));
        }
        let mut uid = self.uid(uid)?;
        let mut devices = DeviceRow::of(&mut self.statements, uid.key)?;
        let (epoch, tail) = (uid.epoch(self.store_epoch), uid.next_seq - 1);
        if let Some(known) = devices.iter_mut().find(|known| known.device == *device) {
            if self.is_seen(known) {
                known.save(&mut self.statements, uid.key)?;
            }
            let (acknowledged, lost) = (known.acknowledged, known.lost);
            return Ok(Outcome::Arrived(Arrival { epoch, acknowledged, lost, tail, is_new: false }));
        }
        if devices.len() >= self.bounds.devices {
            let oldest = |signed: bool| {
                let of_sort = devices.iter().filter(|known| known.device.is_signed() == signed);
                of_sort.min_by_key(|known| (known.seen, known.number)).map(|known| known.number)
            };
            let evicted = oldest(false).or_else(|| oldest(true).filter(|_| device.is_signed()));
            let Some(evicted) = evicted else { return Ok(Outcome::Refused(Refusal::TooManyDevices)) };
            self.remove_device(&uid, evicted)?;
            devices.retain(|known| known.number != evicted);
        }
        let row = DeviceRow {
            number: devices.last().map_or(1, |last| last.number + 1),
            device: device.clone(),
            seen: self.now,
            written: 0,
            acknowledged: 0,
            floor: uid.acknowledged,
            lost: 0,
        };
        row.save(&mut self.statements, uid.key)?;
        devices.push(row);
        self.settle(&mut uid, &devices)?;
        uid.save(&mut self.statements)?;
        Ok(Outcome::Arrived(Arrival { epoch, acknowledged: 0, lost: 0, tail, is_new: true }))
    }

    pub(super) fn written(&mut self, uid: &[u8], device: &Device, epoch: u64, seq: u64) -> Result<Outcome> {
        let Some((uid, _, mut row)) = self.find_device(uid, device, Some(epoch))? else {
            return Ok(Outcome::Ignored);
        };
        let seq = seq.min(uid.next_seq - 1);
        if seq > row.written {
            row.written = seq;
            row.save(&mut self.statements, uid.key)?;
            self.mark(&uid, &row, WRITTEN, seq)?;
        }
        Ok(Outcome::Done)
    }

    pub(super) fn acknowledge(
        &mut self,
        uid: &[u8],
        device: &Device,
        epoch: u64,
        seq: u64,
    ) -> Result<Outcome> {
        let Some((mut uid, mut devices, mut row)) = self.find_device(uid, device, Some(epoch))? else {
            return Ok(Outcome::Ignored);
        };
        let seq = seq.min(row.written);
        if seq <= row.acknowledged {
            return Ok(Outcome::Acknowledged { seq: row.acknowledged, news: false });
        }
        let after = std::mem::replace(&mut row.acknowledged, seq);
        self.is_seen(&mut row);
        row.save(&mut self.statements, uid.key)?;
        self.mark(&uid, &row, RECEIVED, seq)?;
        self.tell_received(&uid, &row, after)?;
        self.end_watches(&uid, seq)?;
        uid.acknowledged = uid.acknowledged.max(seq);
        devices.push(row);
        self.settle(&mut uid, &devices)?;
        uid.save(&mut self.statements)?;
        Ok(Outcome::Acknowledged { seq, news: true })
    }

    pub(super) fn read(&mut self, uid: &[u8], device: &Device, epoch: u64, seq: u64) -> Result<Outcome> {
        let Some((uid, _, row)) = self.find_device(uid, device, Some(epoch))? else {
            return Ok(Outcome::Ignored);
        };
        let sql = "SELECT 1 FROM messages WHERE uid = ? AND seq = ? AND expires > ?";
        let message = params![uid.key, seq.cast_signed(), self.now.cast_signed()];
        if seq > row.written || self.statements.first(sql, message, |_| Ok(()))?.is_none() {
            return Ok(Outcome::Ignored);
        }
        if self.mark(&uid, &row, READ, seq)? {
            self.tell_read(&uid, &row, seq)?;
        }
        Ok(Outcome::Done)
    }

    pub(super) fn lost_told(&mut self, uid: &[u8], device: &Device, lost: u64) -> Result<Outcome> {
        let Some((uid, _, mut row)) = self.find_device(uid, device, None)? else {
            return Ok(Outcome::Ignored);
        };
        row.lost = row.lost.saturating_sub(lost);
        row.save(&mut self.statements, uid.key)?;
        Ok(Outcome::Done)
    }

    pub(super) fn remove_device(&mut self, uid: &UidRow, number: i64) -> Result<()> {
        self.statements.run("DELETE FROM devices WHERE uid = ? AND number = ?", [uid.key, number])?;
        self.remove_marks(uid.key, number)
    }

    /// Gives a uid, a device of it, and its other devices; `None` if one of them is not there or the epoch is another.
    fn find_device(
        &mut self,
        uid: &[u8],
        device: &Device,
        epoch: Option<u64>,
    ) -> Result<Option<(UidRow, Vec<DeviceRow>, DeviceRow)>> {
        let Some(uid) = UidRow::find(&mut self.statements, uid)? else { return Ok(None) };
        if epoch.is_some_and(|epoch| epoch != uid.epoch(self.store_epoch)) {
            return Ok(None);
        }
        let mut devices = DeviceRow::of(&mut self.statements, uid.key)?;
        let Some(at) = devices.iter().position(|known| known.device == *device) else { return Ok(None) };
        let row = devices.remove(at);
        Ok(Some((uid, devices, row)))
    }

    /// Notes that a device is here, and says whether that is to be written.
    fn is_seen(&self, device: &mut DeviceRow) -> bool {
        let is_news = self.now >= device.seen + SEEN_STEP;
        if is_news {
            device.seen = self.now;
        }
        is_news
    }

    /// Notes when a device had come how far, and says whether that is news.
    fn mark(&mut self, uid: &UidRow, device: &DeviceRow, sort: i64, seq: u64) -> Result<bool> {
        let sql = "INSERT OR IGNORE INTO marks (uid, device, sort, seq, at) VALUES (?, ?, ?, ?, ?)";
        let row = params![uid.key, device.number, sort, seq.cast_signed(), self.now.cast_signed()];
        Ok(self.statements.run(sql, row)? > 0)
    }
}
