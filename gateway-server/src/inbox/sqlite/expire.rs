//! The end of what has had its time, and of what the application wants forgotten.

use std::collections::BTreeSet;

use rusqlite::{Result, params};

use crate::inbox::bounds::{DEVICE_LIFE, PRODUCER_LIFE};
use crate::inbox::store::Outcome;

use super::batch::Batch;
use super::rows::{DeviceRow, UidRow};

impl Batch<'_> {
    pub(super) fn forget(&mut self, uid: &[u8]) -> Result<Outcome> {
        let Some(uid) = UidRow::find(&mut self.statements, uid)? else { return Ok(Outcome::Ignored) };
        self.totals.messages = self.totals.messages.saturating_sub(uid.messages);
        self.totals.bytes = self.totals.bytes.saturating_sub(uid.bytes);
        self.forget_notices(&uid)?;
        self.statements.run("DELETE FROM messages WHERE uid = ?", [uid.key])?;
        self.statements.run("DELETE FROM devices WHERE uid = ?", [uid.key])?;
        self.remove_uid(uid.key)?;
        Ok(Outcome::Done)
    }

    pub(super) fn expire(&mut self, at_most: usize) -> Result<Outcome> {
        let limit = i64::try_from(at_most).unwrap_or(i64::MAX);
        let pair = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let mut concerned = BTreeSet::new();

        let sql = "SELECT uid, seq FROM messages WHERE expires <= ? ORDER BY expires, uid, seq LIMIT ?";
        let messages = self.statements.all(sql, params![self.now.cast_signed(), limit], pair)?;
        for (key, seq) in &messages {
            if let Some(mut uid) = self.uid_of_key(*key)? {
                self.remove(&mut uid, *seq)?;
                uid.save(&mut self.statements)?;
            }
            concerned.insert(*key);
        }

        let sql = "SELECT uid, number FROM devices WHERE seen <= ? ORDER BY seen, uid, number LIMIT ?";
        let before = |life: u64| self.now.checked_sub(life).map_or(-1, u64::cast_signed);
        let (devices_before, producers_before) = (before(DEVICE_LIFE), before(PRODUCER_LIFE));
        let devices = self.statements.all(sql, params![devices_before, limit], pair)?;
        for (key, number) in &devices {
            if let Some(mut uid) = self.uid_of_key(*key)? {
                self.remove_device(&uid, *number)?;
                let left = DeviceRow::of(&mut self.statements, uid.key)?;
                self.settle(&mut uid, &left)?;
                uid.save(&mut self.statements)?;
            }
            concerned.insert(*key);
        }

        let sql = "DELETE FROM producers WHERE producer IN
            (SELECT producer FROM producers WHERE seen <= ? ORDER BY seen, producer LIMIT ?)";
        let producers = self.statements.run(sql, params![producers_before, limit])?;

        let notices = self.expire_notices(limit)?;

        for key in concerned {
            self.tidy(key)?;
        }
        let counts = [messages.len(), devices.len(), producers, notices];
        Ok(Outcome::Expired {
            removed: counts.iter().sum(),
            has_more: at_most > 0 && counts.contains(&at_most),
        })
    }

    /// Removes the marks that no message needs any more, and a uid of which nothing is left.
    fn tidy(&mut self, key: i64) -> Result<()> {
        let first = "SELECT seq FROM messages WHERE uid = ? ORDER BY seq LIMIT 1";
        let first = self.statements.first(first, [key], |row| row.get::<_, i64>(0))?;
        let device = "SELECT 1 FROM devices WHERE uid = ? LIMIT 1";
        let has_device = self.statements.first(device, [key], |_| Ok(()))?.is_some();
        if first.is_none() && !has_device {
            return self.remove_uid(key);
        }
        let before = first.unwrap_or(i64::MAX);
        self.statements.run("DELETE FROM marks WHERE uid = ? AND seq < ?", [key, before])?;
        Ok(())
    }

    fn remove_uid(&mut self, key: i64) -> Result<()> {
        self.statements.run("DELETE FROM marks WHERE uid = ?", [key])?;
        let removed = self.statements.run("DELETE FROM uids WHERE key = ?", [key])?;
        self.totals.uids = self.totals.uids.saturating_sub(removed as u64);
        Ok(())
    }

    fn uid_of_key(&mut self, key: i64) -> Result<Option<UidRow>> {
        let uid = self
            .statements
            .first("SELECT uid FROM uids WHERE key = ?", [key], |row| row.get::<_, Vec<u8>>(0))?;
        uid.map_or(Ok(None), |uid| UidRow::find(&mut self.statements, &uid))
    }
}
