//! The rows of uids and devices, and the statements that read and write them.

use std::hash::Hasher as _;

use rusqlite::{Result, params};
use siphasher::sip::SipHasher13;

use crate::inbox::model::Device;

use super::statements::Statements;

/// What the database says of a uid.
#[derive(Clone, Debug)]
pub(super) struct UidRow {
    pub(super) key: i64,
    /// A random number of this uid, new when the uid was forgotten in between.
    pub(super) seed: i64,
    pub(super) next_seq: u64,
    /// The furthest position that any device has acknowledged.
    pub(super) acknowledged: u64,
    /// Up to this position, messages that all devices have were made free of their payload.
    pub(super) settled: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl UidRow {
    /// Gives the epoch that pages of the uid are told: it is of the store and of this uid alone.
    pub(super) fn epoch(&self, store_epoch: u64) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(store_epoch, self.seed.cast_unsigned());
        hasher.write(b"inbox");
        hasher.finish()
    }

    pub(super) fn find(statements: &mut Statements<'_>, uid: &[u8]) -> Result<Option<Self>> {
        let sql =
            "SELECT key, seed, next_seq, acknowledged, settled, messages, bytes FROM uids WHERE uid = ?";
        statements.first(sql, params![uid], |row| {
            Ok(Self {
                key: row.get(0)?,
                seed: row.get(1)?,
                next_seq: row.get::<_, i64>(2)?.cast_unsigned(),
                acknowledged: row.get::<_, i64>(3)?.cast_unsigned(),
                settled: row.get::<_, i64>(4)?.cast_unsigned(),
                messages: row.get::<_, i64>(5)?.cast_unsigned(),
                bytes: row.get::<_, i64>(6)?.cast_unsigned(),
            })
        })
    }

    /// Makes the row of a uid of which the store knows nothing yet.
    pub(super) fn create(statements: &mut Statements<'_>, uid: &[u8], seed: i64) -> Result<Self> {
        let sql = "INSERT INTO uids (uid, seed, next_seq, acknowledged, settled, messages, bytes)
            VALUES (?, ?, 1, 0, 0, 0, 0) RETURNING key";
        let key = statements.first(sql, params![uid, seed], |row| row.get(0))?;
        let key = key.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        Ok(Self { key, seed, next_seq: 1, acknowledged: 0, settled: 0, messages: 0, bytes: 0 })
    }

    pub(super) fn save(&self, statements: &mut Statements<'_>) -> Result<()> {
        let sql = "UPDATE uids SET next_seq = ?2, acknowledged = ?3, settled = ?4, messages = ?5, bytes = ?6 WHERE key = ?1";
        let numbers = [self.next_seq, self.acknowledged, self.settled, self.messages, self.bytes];
        let [next_seq, acknowledged, settled, messages, bytes] = numbers.map(u64::cast_signed);
        statements.run(sql, params![self.key, next_seq, acknowledged, settled, messages, bytes])?;
        Ok(())
    }
}

/// What the database says of a device.
#[derive(Clone, Debug)]
pub(super) struct DeviceRow {
    pub(super) number: i64,
    pub(super) device: Device,
    pub(super) seen: u64,
    pub(super) written: u64,
    pub(super) acknowledged: u64,
    /// Messages up to here are for the device only if they are for every new device.
    pub(super) floor: u64,
    pub(super) lost: u64,
}

impl DeviceRow {
    /// Gives the position up to which the device has all messages that are not for every new device.
    pub(super) fn has(&self) -> u64 {
        self.acknowledged.max(self.floor)
    }

    /// Says whether a message whose payload is there waits for the device.
    pub(super) fn waits_for(&self, seq: u64, for_all: bool) -> bool {
        seq > self.acknowledged && (for_all || seq > self.floor)
    }

    /// Gives all devices of a uid, in the order in which they came.
    pub(super) fn of(statements: &mut Statements<'_>, uid: i64) -> Result<Vec<Self>> {
        let sql =
            "SELECT number, sort, name, seen, written, acknowledged, floor, lost FROM devices WHERE uid = ?
            ORDER BY number";
        statements.all(sql, [uid], |row| {
            let (sort, name): (u8, String) = (row.get(1)?, row.get(2)?);
            let unknown = || rusqlite::Error::IntegralValueOutOfRange(1, i64::from(sort));
            Ok(Self {
                number: row.get(0)?,
                device: Device::from_row(sort, &name).ok_or_else(unknown)?,
                seen: row.get::<_, i64>(3)?.cast_unsigned(),
                written: row.get::<_, i64>(4)?.cast_unsigned(),
                acknowledged: row.get::<_, i64>(5)?.cast_unsigned(),
                floor: row.get::<_, i64>(6)?.cast_unsigned(),
                lost: row.get::<_, i64>(7)?.cast_unsigned(),
            })
        })
    }

    /// Writes the device, which may be new.
    pub(super) fn save(&self, statements: &mut Statements<'_>, uid: i64) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO devices (uid, number, sort, name, seen, written, acknowledged, floor, lost)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let (sort, name) = self.device.as_row();
        let numbers = [self.seen, self.written, self.acknowledged, self.floor, self.lost];
        let [seen, written, acknowledged, floor, lost] = numbers.map(u64::cast_signed);
        statements
            .run(sql, params![uid, self.number, sort, name, seen, written, acknowledged, floor, lost])?;
        Ok(())
    }
}
