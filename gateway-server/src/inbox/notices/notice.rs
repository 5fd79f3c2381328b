//! What PHP is told of messages without asking, and which of it a server wants.

use bytes::Bytes;

use crate::config::Settings;
use crate::inbox::model::{Device, Millis};
use crate::system::ages::millis;

/// The notices that are told together at most.
pub const BATCH: usize = 500;
/// What they take together at most, roughly. As JSON a notice has up to six times the bytes, and receivers take up to 1 MiB.
pub const BATCH_BYTES: usize = 128 << 10;

/// Which notices a store keeps for PHP. By default it keeps none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WantedNotices {
    /// Whether PHP is told what devices have received and users have read.
    pub receipts: bool,
    /// After how many milliseconds PHP is told of a message that no device has acknowledged.
    pub undelivered_after: Option<Millis>,
}

impl WantedNotices {
    /// Gives the notices that the settings want.
    pub fn of(settings: &Settings) -> Self {
        let after = settings.undelivered_seconds;
        let undelivered_after = (!after.is_zero()).then(|| millis(after));
        Self { receipts: settings.receipts, undelivered_after }
    }

    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// One thing that PHP is told of a message of one uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The position among the notices of the store. It rises, with gaps, and is given to one notice alone.
    pub number: u64,
    pub uid: Bytes,
    /// The id of the message.
    pub id: Box<str>,
    pub fact: Fact,
}

/// What has become of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The device has acknowledged it.
    Received { device: Device, at: Millis },
    /// The page of the device says that its user has read it.
    Read { device: Device, at: Millis },
    /// No device has acknowledged it in the time that it had.
    Undelivered { stored_at: Millis },
}

impl Fact {
    /// Gives the form in which the database keeps it: the number of its sort, the device, and a time.
    pub(in crate::inbox) fn as_row(&self) -> (u8, Option<&Device>, Millis) {
        match self {
            Self::Received { device, at } => (0, Some(device), *at),
            Self::Read { device, at } => (1, Some(device), *at),
            Self::Undelivered { stored_at } => (2, None, *stored_at),
        }
    }

    /// Gives what a row says; `None` for a sort that does not exist.
    pub(in crate::inbox) fn from_row(sort: u8, device: Option<Device>, at: Millis) -> Option<Self> {
        match (sort, device) {
            (0, Some(device)) => Some(Self::Received { device, at }),
            (1, Some(device)) => Some(Self::Read { device, at }),
            (2, None) => Some(Self::Undelivered { stored_at: at }),
            _ => None,
        }
    }
}

impl Notice {
    /// The bytes that the notice takes on its way, roughly.
    pub fn cost(&self) -> usize {
        let device = self.fact.as_row().1.map_or(0, |device| device.as_row().1.len());
        128 + self.uid.len() + self.id.len() + device
    }
}
