//! The schema of the database, its version, and the steps from each version to the next.

/// Marks a database as a store of this server (`gwin`).
pub(super) const APPLICATION_ID: i32 = 0x6777_696e;

/// The version that this server writes.
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

/// The statements that bring a database from each version to the next; the first ones make an empty file a store.
///
/// A message that has ended but whose time has not (all devices have it, or it was dropped or replaced) stays as a row without a
/// payload, so that its id is known. `ended` is when it was dropped or replaced. `marks` says when a device had come how far
/// (`sort` 0: written, 1: received), or which message it has read (2); a message was received when the first mark at or behind its
/// position was made.
///
/// What waits is found by `messages_with_payload`, and what is for devices that come later by `messages_for_all`, as there may be many
/// more rows before it.
///
/// `notices` are for PHP, and go once it has them; `watched` are the messages that no device has acknowledged, with the time at which
/// PHP is told of them.
pub(super) const MIGRATIONS: [&str; 2] = ["
CREATE TABLE about (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, marker INTEGER NOT NULL);
CREATE TABLE uids (
    key INTEGER PRIMARY KEY, uid BLOB NOT NULL UNIQUE, seed INTEGER NOT NULL, next_seq INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL, settled INTEGER NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL
);
CREATE TABLE messages (
    uid INTEGER NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, stored INTEGER NOT NULL, expires INTEGER NOT NULL,
    is_binary INTEGER NOT NULL, for_all INTEGER NOT NULL, replace_key TEXT, ended INTEGER, payload BLOB,
    PRIMARY KEY (uid, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX messages_by_id ON messages (id, uid);
CREATE INDEX messages_by_end ON messages (expires);
CREATE INDEX messages_by_key ON messages (uid, replace_key) WHERE replace_key IS NOT NULL;
CREATE TABLE devices (
    uid INTEGER NOT NULL, number INTEGER NOT NULL, sort INTEGER NOT NULL, name TEXT NOT NULL, seen INTEGER NOT NULL,
    written INTEGER NOT NULL, acknowledged INTEGER NOT NULL, floor INTEGER NOT NULL, lost INTEGER NOT NULL,
    PRIMARY KEY (uid, number)
) WITHOUT ROWID;
CREATE INDEX devices_by_seen ON devices (seen);
CREATE TABLE marks (
    uid INTEGER NOT NULL, device INTEGER NOT NULL, sort INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (uid, device, sort, seq)
) WITHOUT ROWID;
CREATE TABLE producers (producer BLOB PRIMARY KEY, number INTEGER NOT NULL, seen INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX producers_by_seen ON producers (seen);
", "
CREATE TABLE notices (
    number INTEGER PRIMARY KEY AUTOINCREMENT, uid BLOB NOT NULL, id TEXT NOT NULL, sort INTEGER NOT NULL,
    device_sort INTEGER, device TEXT, at INTEGER NOT NULL, noted INTEGER NOT NULL
);
CREATE INDEX notices_by_uid ON notices (uid);
CREATE TABLE watched (
    uid INTEGER NOT NULL, seq INTEGER NOT NULL, due INTEGER NOT NULL, PRIMARY KEY (uid, seq)
) WITHOUT ROWID;
CREATE INDEX watched_by_due ON watched (due);
CREATE INDEX messages_with_payload ON messages (uid, seq) WHERE payload IS NOT NULL;
ALTER TABLE about ADD COLUMN commits INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_for_all ON messages (uid, seq) WHERE for_all = 1;
"];
