//! One transaction: what its operations share.

use rusqlite::{Connection, Result, params};

use crate::inbox::bounds::Bounds;
use crate::inbox::model::{Millis, Totals};
use crate::inbox::notices::WantedNotices;
use crate::inbox::store::{Operation, Outcome};

use super::rows::{DeviceRow, UidRow};
use super::statements::Statements;

/// A transaction under way.
pub(super) struct Batch<'c> {
    pub(super) statements: Statements<'c>,
    pub(super) now: Millis,
    pub(super) bounds: Bounds,
    pub(super) wanted: WantedNotices,
    /// The random number of the store, of which the epochs of all uids are made.
    pub(super) store_epoch: u64,
    pub(super) totals: Totals,
    /// The bytes that the database takes, with those that this transaction adds, roughly.
    pub(super) used: u64,
}

impl<'c> Batch<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        now: Millis,
        (bounds, wanted): (Bounds, WantedNotices),
        store_epoch: u64,
        totals: Totals,
    ) -> Result<Self> {
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
        let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
        let used = u64::from(pages) * u64::from(number("page_size")?);
        Ok(Self { statements: Statements::new(connection), now, bounds, wanted, store_epoch, totals, used })
    }

    pub(super) fn run(&mut self, operation: &Operation) -> Result<Outcome> {
        match operation {
            Operation::Deliver(message) => self.deliver(message),
            Operation::Arrive { uid, device } => self.arrive(uid, device),
            Operation::Written { uid, device, epoch, seq } => self.written(uid, device, *epoch, *seq),
            Operation::Acknowledge { uid, device, epoch, seq } => self.acknowledge(uid, device, *epoch, *seq),
            Operation::Read { uid, device, epoch, seq } => self.read(uid, device, *epoch, *seq),
            Operation::LostTold { uid, device, lost } => self.lost_told(uid, device, *lost),
            Operation::Forget { uid } => self.forget(uid),
            Operation::TellUndelivered { at_most } => self.tell_undelivered(*at_most),
            Operation::NoticesTold { up_to } => self.notices_told(*up_to),
            Operation::Expire { at_most } => self.expire(*at_most),
        }
    }

    /// Gives the row of a uid, which it makes if there is none.
    pub(super) fn uid(&mut self, uid: &[u8]) -> Result<UidRow> {
        match UidRow::find(&mut self.statements, uid)? {
            Some(row) => Ok(row),
            None => {
                self.totals.uids += 1;
                UidRow::create(&mut self.statements, uid, random()?)
            }
        }
    }

    /// Counts a payload of a uid that is no longer there.
    pub(super) fn count_gone(&mut self, uid: &mut UidRow, bytes: u64) {
        uid.messages = uid.messages.saturating_sub(1);
        uid.bytes = uid.bytes.saturating_sub(bytes);
        self.totals.messages = self.totals.messages.saturating_sub(1);
        self.totals.bytes = self.totals.bytes.saturating_sub(bytes);
    }

    /// Frees the payloads of those messages that all devices have.
    pub(super) fn settle(&mut self, uid: &mut UidRow, devices: &[DeviceRow]) -> Result<()> {
        let Some(low) = devices.iter().map(DeviceRow::has).min().filter(|low| *low > uid.settled) else {
            return Ok(());
        };
        let sql = "UPDATE messages SET payload = NULL, replace_key = NULL
            WHERE uid = ? AND seq = ?";
        let find = "SELECT seq, length(payload) FROM messages
            WHERE uid = ? AND seq > ? AND seq <= ? AND payload IS NOT NULL AND for_all = 0";
        let range = params![uid.key, uid.settled.cast_signed(), low.cast_signed()];
        let ended =
            self.statements.all(find, range, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?)))?;
        for (seq, bytes) in ended {
            self.statements.run(sql, params![uid.key, seq])?;
            self.count_gone(uid, u64::from(bytes));
        }
        uid.settled = low;
        Ok(())
    }

    /// Removes what says when a device had come how far.
    pub(super) fn remove_marks(&mut self, uid: i64, device: i64) -> Result<()> {
        self.statements.run("DELETE FROM marks WHERE uid = ? AND device = ?", [uid, device])?;
        Ok(())
    }
}

/// Gives a random number.
pub(super) fn random() -> Result<i64> {
    let failed = |error: getrandom::Error| rusqlite::Error::ToSqlConversionFailure(error.to_string().into());
    getrandom::u64().map(u64::cast_signed).map_err(failed)
}
