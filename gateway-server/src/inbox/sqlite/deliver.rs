//! The delivery of a message to the inbox of a uid.

use rusqlite::{Result, params};

use crate::inbox::model::{NewDevice, NewMessage, Producer};
use crate::inbox::store::{Outcome, Refusal};

use super::batch::Batch;
use super::rows::{DeviceRow, UidRow};

/// The bytes that a message takes in the database besides its payload, roughly.
const OVERHEAD: u64 = 256;

impl Batch<'_> {
    pub(super) fn deliver(&mut self, message: &NewMessage) -> Result<Outcome> {
        if let Some((producer, number)) = &message.producer
            && self.progress(producer)?.is_some_and(|applied| *number <= applied)
        {
            return Ok(Outcome::Repeated);
        }
        let outcome = self.store(message)?;
        // An order that was refused has changed nothing, so it may come again.
        if let (Some((producer, number)), false) = (&message.producer, matches!(outcome, Outcome::Refused(_)))
        {
            let sql = "INSERT OR REPLACE INTO producers (producer, number, seen) VALUES (?, ?, ?)";
            self.statements.run(sql, params![producer, number.cast_signed(), self.now.cast_signed()])?;
        }
        Ok(outcome)
    }

    pub(super) fn progress(&mut self, producer: &Producer) -> Result<Option<u64>> {
        let sql = "SELECT number FROM producers WHERE producer = ?";
        self.statements.first(sql, params![producer], |row| row.get::<_, i64>(0).map(i64::cast_unsigned))
    }

    fn store(&mut self, message: &NewMessage) -> Result<Outcome> {
        if let Err(refusal) = message.check() {
            return Ok(Outcome::Refused(refusal));
        }
        let found = UidRow::find(&mut self.statements, &message.uid)?;
        if let Some(mut uid) = found {
            let sql = "SELECT seq, expires FROM messages WHERE id = ? AND uid = ?";
            let known = self.statements.first(sql, params![message.id, uid.key], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
            })?;
            match known {
                Some((seq, expires)) if expires > self.now => {
                    return Ok(Outcome::Known {
                        epoch: uid.epoch(self.store_epoch),
                        seq: seq.cast_unsigned(),
                    });
                }
                Some((seq, _)) => {
                    self.remove(&mut uid, seq)?;
                    uid.save(&mut self.statements)?;
                }
                None => {}
            }
        }
        let bytes = message.payload.len() as u64;
        if self.used + bytes + OVERHEAD > self.bounds.store_bytes {
            return Ok(Outcome::Refused(Refusal::StoreFull));
        }
        self.used += bytes + OVERHEAD;
        let mut uid = self.uid(&message.uid)?;
        let mut due = None;
        if let Some(key) = &message.replace {
            let sql = "SELECT seq FROM messages WHERE uid = ? AND replace_key = ?";
            for seq in self.statements.all(sql, params![uid.key, key], |row| row.get(0))? {
                // The watch goes on from when it began, so that what is replaced again and again is told at last.
                due = self.hand_over_watch(&uid, seq)?.or(due);
                self.end(&mut uid, seq)?;
            }
        }
        let dropped = self.make_room(&mut uid, bytes)?;
        let seq = uid.next_seq;
        let sql = "INSERT INTO messages
            (uid, seq, id, stored, expires, is_binary, for_all, replace_key, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let expires = self.now + message.ttl * 1000;
        self.statements.run(
            sql,
            params![
                uid.key,
                seq.cast_signed(),
                message.id,
                self.now.cast_signed(),
                expires.cast_signed(),
                message.is_binary,
                message.new_device == NewDevice::All,
                message.replace,
                &message.payload[..],
            ],
        )?;
        self.watch(&uid, seq, expires, due)?;
        uid.next_seq += 1;
        uid.messages += 1;
        uid.bytes += bytes;
        self.totals.messages += 1;
        self.totals.bytes += bytes;
        uid.save(&mut self.statements)?;
        Ok(Outcome::Stored { epoch: uid.epoch(self.store_epoch), seq, dropped })
    }

    /// Drops the oldest messages until one more with so many bytes has room, and gives how many of them still had time.
    fn make_room(&mut self, uid: &mut UidRow, bytes: u64) -> Result<u64> {
        let mut dropped = 0;
        while uid.messages > 0
            && (uid.messages >= self.bounds.messages || uid.bytes + bytes > self.bounds.bytes)
        {
            let sql = "SELECT seq, expires, for_all FROM messages INDEXED BY messages_with_payload
                WHERE uid = ? AND payload IS NOT NULL ORDER BY seq LIMIT 1";
            let oldest = self.statements.first(sql, [uid.key], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.cast_unsigned(), row.get::<_, bool>(2)?))
            })?;
            let Some((seq, expires, for_all)) = oldest else { break };
            if expires > self.now {
                dropped += 1;
                for mut device in DeviceRow::of(&mut self.statements, uid.key)? {
                    if device.waits_for(seq.cast_unsigned(), for_all) {
                        device.lost += 1;
                        device.save(&mut self.statements, uid.key)?;
                    }
                }
            }
            self.tell_if_watched(uid.key, seq)?;
            self.end(uid, seq)?;
        }
        Ok(dropped)
    }

    /// Ends a message whose payload is there before all devices have it. Its id stays known.
    fn end(&mut self, uid: &mut UidRow, seq: i64) -> Result<()> {
        let bytes = self.payload_bytes(uid.key, seq)?;
        let sql =
            "UPDATE messages SET payload = NULL, replace_key = NULL, ended = ? WHERE uid = ? AND seq = ?";
        self.statements.run(sql, params![self.now.cast_signed(), uid.key, seq])?;
        if let Some(bytes) = bytes {
            self.count_gone(uid, bytes);
        }
        Ok(())
    }

    /// Removes a message whose time has ended.
    pub(super) fn remove(&mut self, uid: &mut UidRow, seq: i64) -> Result<()> {
        self.tell_if_watched(uid.key, seq)?;
        if let Some(bytes) = self.payload_bytes(uid.key, seq)? {
            self.count_gone(uid, bytes);
        }
        self.statements.run("DELETE FROM messages WHERE uid = ? AND seq = ?", [uid.key, seq])?;
        Ok(())
    }

    /// Gives the length of a message's payload, if the store still has it.
    fn payload_bytes(&mut self, uid: i64, seq: i64) -> Result<Option<u64>> {
        let sql = "SELECT length(payload) FROM messages WHERE uid = ? AND seq = ? AND payload IS NOT NULL";
        self.statements.first(sql, [uid, seq], |row| row.get::<_, u32>(0).map(u64::from))
    }
}
