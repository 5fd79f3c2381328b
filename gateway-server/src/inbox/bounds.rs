//! The bounds of an inbox: what one uid, one message and one store may take.

use gateway_wire::bridge::MAX_NAME;
pub use gateway_wire::bridge::delivery::{DEFAULT_TTL, LONGEST_TTL, MAX_MESSAGE as MESSAGE_BYTES};

use crate::config::Settings;

/// The longest uid, in bytes.
pub const UID_BYTES: usize = MAX_NAME;
/// The longest id of a message and the longest replace key, in bytes.
pub const ID_BYTES: usize = 64;
/// The longest name of a device, in bytes.
pub const DEVICE_BYTES: usize = 64;
/// A device that has not been here for this long is forgotten, in milliseconds.
pub const DEVICE_LIFE: u64 = 30 * DAY * 1000;
/// The progress of a producer that has sent nothing for this long is forgotten, in milliseconds.
pub const PRODUCER_LIFE: u64 = DAY * 1000;
/// A notice that PHP has not taken for this long is forgotten, in milliseconds.
pub const NOTICE_LIFE: u64 = 7 * DAY * 1000;
/// The time for which the store does not note again that a device is here, in milliseconds, so that logins cost few writes.
pub const SEEN_STEP: u64 = 3_600_000;

const DAY: u64 = 86_400;

/// The bounds that tests make smaller than servers have them.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The number of messages that wait for one uid at most.
    pub messages: u64,
    /// The payload bytes that wait for one uid at most.
    pub bytes: u64,
    /// The number of devices of one uid at most.
    pub devices: usize,
    /// The bytes that the whole store may take; beyond them, messages are refused.
    pub store_bytes: u64,
    /// The number of notices that wait for PHP at most; beyond it the oldest goes.
    pub notices: u64,
}

impl Bounds {
    /// The bounds of a server with these settings.
    pub fn of(settings: &Settings) -> Self {
        Self { store_bytes: settings.store_bytes as u64, ..Self::default() }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self { messages: 1000, bytes: 1 << 20, devices: 10, store_bytes: 10 << 30, notices: 1_000_000 }
    }
}
