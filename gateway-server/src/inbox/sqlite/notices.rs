//! Notices for PHP, and the watch over messages that no device has acknowledged.

use rusqlite::{Result, params};

use crate::inbox::bounds::NOTICE_LIFE;
use crate::inbox::model::{Device, Millis};
use crate::inbox::notices::{Fact, Notice};
use crate::inbox::store::Outcome;

use super::batch::Batch;
use super::rows::{DeviceRow, UidRow};
use super::statements::Statements;

impl Batch<'_> {
    /// Has PHP told that a device has received those messages behind a position and up to its acknowledgement that were written to it.
    pub(super) fn tell_received(&mut self, uid: &UidRow, device: &DeviceRow, after: u64) -> Result<()> {
        if !self.wanted.receipts {
            return Ok(());
        }
        let before_it = "SELECT seq FROM messages INDEXED BY messages_for_all
            WHERE uid = ? AND seq > ? AND seq <= ? AND for_all = 1 ORDER BY seq";
        let for_it = "SELECT seq FROM messages WHERE uid = ? AND seq > ? AND seq <= ? ORDER BY seq";
        let floor = device.floor.clamp(after, device.acknowledged);
        let fact = Fact::Received { device: device.device.clone(), at: self.now };
        for (sql, after, up_to) in [(before_it, after, floor), (for_it, floor, device.acknowledged)] {
            let range = params![uid.key, after.cast_signed(), up_to.cast_signed()];
            for seq in self.statements.all(sql, range, |row| row.get::<_, i64>(0))? {
                if self.was_written(uid, device, seq)? {
                    self.tell(uid.key, seq, &fact)?;
                }
            }
        }
        Ok(())
    }

    /// Has PHP told that a user has read a message, if it was written to the device.
    pub(super) fn tell_read(&mut self, uid: &UidRow, device: &DeviceRow, seq: u64) -> Result<()> {
        let seq = seq.cast_signed();
        if self.wanted.receipts && self.was_written(uid, device, seq)? {
            self.tell(uid.key, seq, &Fact::Read { device: device.device.clone(), at: self.now })?;
        }
        Ok(())
    }

    /// Says whether a message is for a device, and was written to it before it was dropped or its time ended.
    fn was_written(&mut self, uid: &UidRow, device: &DeviceRow, seq: i64) -> Result<bool> {
        let sql = "SELECT 1 FROM messages WHERE uid = ?1 AND seq = ?2 AND (for_all OR seq > ?4) AND (
            SELECT at FROM marks WHERE uid = ?1 AND device = ?3 AND sort = 0 AND seq >= ?2 ORDER BY seq LIMIT 1
        ) < min(expires, coalesce(ended, expires))";
        let found = self.statements.first(
            sql,
            params![uid.key, seq, device.number, device.floor.cast_signed()],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// Watches over a message that was stored, if that is wanted. `due` is when the message whose place it takes would have been told.
    pub(super) fn watch(
        &mut self,
        uid: &UidRow,
        seq: u64,
        expires: Millis,
        due: Option<Millis>,
    ) -> Result<()> {
        let Some(after) = self.wanted.undelivered_after else { return Ok(()) };
        let due = (self.now + after).min(expires).min(due.unwrap_or(Millis::MAX));
        let sql = "INSERT OR REPLACE INTO watched (uid, seq, due) VALUES (?, ?, ?)";
        self.statements.run(sql, params![uid.key, seq.cast_signed(), due.cast_signed()])?;
        Ok(())
    }

    /// Ends the watch over a message that another replaces, and gives when it would have been told.
    pub(super) fn hand_over_watch(&mut self, uid: &UidRow, seq: i64) -> Result<Option<Millis>> {
        if self.wanted.undelivered_after.is_none() {
            return Ok(None);
        }
        let sql = "DELETE FROM watched WHERE uid = ? AND seq = ? RETURNING due";
        self.statements.first(sql, [uid.key, seq], |row| row.get::<_, i64>(0).map(i64::cast_unsigned))
    }

    /// Ends the watch over the messages up to a position, as a device has them.
    pub(super) fn end_watches(&mut self, uid: &UidRow, up_to: u64) -> Result<()> {
        if self.wanted.undelivered_after.is_some() {
            let sql = "DELETE FROM watched WHERE uid = ? AND seq <= ?";
            self.statements.run(sql, params![uid.key, up_to.cast_signed()])?;
        }
        Ok(())
    }

    /// Has PHP told of a message that goes, if no device has acknowledged it and PHP was not told before.
    pub(super) fn tell_if_watched(&mut self, uid: i64, seq: i64) -> Result<()> {
        if self.wanted.undelivered_after.is_none() {
            return Ok(());
        }
        let sql = "DELETE FROM watched WHERE uid = ? AND seq = ?";
        if self.statements.run(sql, [uid, seq])? == 0 {
            return Ok(());
        }
        let sql = "SELECT stored FROM messages WHERE uid = ? AND seq = ?";
        let stored = self.statements.first(sql, [uid, seq], |row| row.get::<_, i64>(0))?;
        stored.map_or(Ok(()), |stored| {
            self.tell(uid, seq, &Fact::Undelivered { stored_at: stored.cast_unsigned() })
        })
    }

    /// Has PHP told of messages that no device has acknowledged in time, at most so many.
    pub(super) fn tell_undelivered(&mut self, at_most: usize) -> Result<Outcome> {
        let sql = "SELECT uid, seq FROM watched WHERE due <= ? ORDER BY due, uid, seq LIMIT ?";
        let wanted = params![self.now.cast_signed(), i64::try_from(at_most).unwrap_or(i64::MAX)];
        let due =
            self.statements.all(sql, wanted, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        for (uid, seq) in &due {
            self.tell_if_watched(*uid, *seq)?;
        }
        Ok(Outcome::Expired { removed: due.len(), has_more: at_most > 0 && due.len() == at_most })
    }

    /// Forgets the notices up to this number, which PHP has.
    pub(super) fn notices_told(&mut self, up_to: u64) -> Result<Outcome> {
        let removed = self.statements.run("DELETE FROM notices WHERE number <= ?", [up_to.cast_signed()])?;
        self.totals.notices = self.totals.notices.saturating_sub(removed as u64);
        Ok(Outcome::Done)
    }

    /// Forgets what PHP was to be told of a uid.
    pub(super) fn forget_notices(&mut self, uid: &UidRow) -> Result<()> {
        self.statements.run("DELETE FROM watched WHERE uid = ?", [uid.key])?;
        let sql = "DELETE FROM notices WHERE uid = (SELECT uid FROM uids WHERE key = ?)";
        let removed = self.statements.run(sql, [uid.key])?;
        self.totals.notices = self.totals.notices.saturating_sub(removed as u64);
        Ok(())
    }

    /// Removes notices that nobody has taken for long, at most so many, and gives how many.
    pub(super) fn expire_notices(&mut self, limit: i64) -> Result<usize> {
        let before = self.now.checked_sub(NOTICE_LIFE).map_or(-1, u64::cast_signed);
        let sql = "DELETE FROM notices WHERE number IN (
            SELECT number FROM (SELECT number, noted FROM notices ORDER BY number LIMIT ?) WHERE noted <= ?)";
        let removed = self.statements.run(sql, params![limit, before])?;
        self.lose_notices(removed);
        Ok(removed)
    }

    fn tell(&mut self, uid: i64, seq: i64, fact: &Fact) -> Result<()> {
        let sql = "INSERT INTO notices (uid, id, sort, device_sort, device, at, noted)
            SELECT uids.uid, messages.id, ?, ?, ?, ?, ? FROM messages JOIN uids ON uids.key = messages.uid
            WHERE messages.uid = ? AND messages.seq = ?";
        let (sort, device, at) = fact.as_row();
        let (device_sort, device) = device.map(Device::as_row).unzip();
        let (at, noted) = (at.cast_signed(), self.now.cast_signed());
        self.totals.notices +=
            self.statements.run(sql, params![sort, device_sort, device, at, noted, uid, seq])? as u64;
        if self.totals.notices > self.bounds.notices {
            let sql = "DELETE FROM notices WHERE number = (SELECT min(number) FROM notices)";
            let removed = self.statements.run(sql, [])?;
            self.lose_notices(removed);
        }
        Ok(())
    }

    fn lose_notices(&mut self, lost: usize) {
        self.totals.notices = self.totals.notices.saturating_sub(lost as u64);
        self.totals.lost_notices += lost as u64;
    }
}

/// Gives the oldest notices: at most so many, and no more once they take so many bytes. One notice is given whatever it takes.
pub(super) fn notices(statements: &mut Statements<'_>, limit: usize, bytes: usize) -> Result<Vec<Notice>> {
    let sql = "SELECT number, uid, id, sort, device_sort, device, at FROM notices ORDER BY number LIMIT ?";
    let (mut taken, mut count) = (0, 0);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statements.until(sql, [limit], |row| {
        let sort: u8 = row.get(3)?;
        let unknown = || rusqlite::Error::IntegralValueOutOfRange(3, i64::from(sort));
        let device = match (row.get::<_, Option<u8>>(4)?, row.get::<_, Option<String>>(5)?) {
            (Some(sort), Some(name)) => Some(Device::from_row(sort, &name).ok_or_else(unknown)?),
            _ => None,
        };
        let at = row.get::<_, i64>(6)?.cast_unsigned();
        let notice = Notice {
            number: row.get::<_, i64>(0)?.cast_unsigned(),
            uid: row.get::<_, Vec<u8>>(1)?.into(),
            id: row.get(2)?,
            fact: Fact::from_row(sort, device, at).ok_or_else(unknown)?,
        };
        taken += notice.cost();
        count += 1;
        Ok((count == 1 || taken <= bytes).then_some(notice))
    })
}

/// Says whether PHP is to be told by now of a message that no device has acknowledged.
pub(super) fn has_undelivered(statements: &mut Statements<'_>, now: Millis) -> Result<bool> {
    let sql = "SELECT 1 FROM watched WHERE due <= ? LIMIT 1";
    Ok(statements.first(sql, [now.cast_signed()], |_| Ok(()))?.is_some())
}
