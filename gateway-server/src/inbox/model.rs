//! What a store keeps: messages, devices with their cursors, and receipts.

use bytes::Bytes;

use super::bounds::DEVICE_BYTES;

/// A time as the store keeps it: milliseconds since 1970.
pub type Millis = u64;

/// The identity of a PHP process that numbers its orders.
pub type Producer = [u8; 16];

pub use gateway_wire::client_protocol::is_id;

/// Which devices that come for the first time still get a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewDevice {
    /// Every device gets it.
    All,
    /// A device gets it if no device has acknowledged it.
    #[default]
    Unacknowledged,
}

/// A message as an order brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    pub uid: Bytes,
    /// The same id again is the same message, until its time ends.
    pub id: Box<str>,
    pub payload: Bytes,
    pub is_binary: bool,
    /// How long the message waits, in seconds.
    pub ttl: u64,
    /// Only the newest message of a uid with this key is kept.
    pub replace: Option<Box<str>>,
    pub new_device: NewDevice,
    /// The process that has sent the order, and the number that it gave the order.
    pub producer: Option<(Producer, u64)>,
}

/// A message that waits for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingMessage {
    /// The position among the messages of the uid. It begins with 1 and rises, with gaps.
    pub seq: u64,
    pub id: Box<str>,
    pub payload: Bytes,
    pub is_binary: bool,
    pub stored_at: Millis,
    pub expires_at: Millis,
}

/// The messages that a device is to be given: those behind a position, at most so many, and no more once their payloads exceed
/// `bytes`. One message is given whatever its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    pub uid: Bytes,
    pub device: Device,
    pub after: u64,
    pub messages: usize,
    pub bytes: usize,
}

/// Some of the messages that wait for a device, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitingPage {
    pub messages: Vec<WaitingMessage>,
    /// Whether more messages wait behind these.
    pub has_more: bool,
    /// The number of messages that were dropped before the device had them, and of which it was not told.
    pub lost: u64,
    /// The epoch that these are of, where another server may have had the uid forgotten meanwhile.
    pub epoch: Option<u64>,
}

/// A device of a uid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Device {
    /// The device that all connections without a name share.
    Shared,
    /// A device whose name a page has invented.
    Invented(Box<str>),
    /// A device whose name stands in the signed claim `dev` of a token.
    Signed(Box<str>),
}

impl Device {
    /// Says whether the name of the device is within its bounds. What a token signs may have any signs.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Shared => true,
            Self::Invented(name) => is_id(name),
            Self::Signed(name) => (1..=DEVICE_BYTES).contains(&name.len()),
        }
    }

    pub fn is_signed(&self) -> bool {
        matches!(self, Self::Signed(_))
    }

    /// Gives the form in which the database and its files keep a device: a number of its sort, and its name.
    pub fn as_row(&self) -> (u8, &str) {
        match self {
            Self::Shared => (0, ""),
            Self::Invented(name) => (1, name),
            Self::Signed(name) => (2, name),
        }
    }

    /// Gives the device of a sort and a name; `None` for a sort that does not exist.
    pub fn from_row(sort: u8, name: &str) -> Option<Self> {
        match sort {
            0 => Some(Self::Shared),
            1 => Some(Self::Invented(name.into())),
            2 => Some(Self::Signed(name.into())),
            _ => None,
        }
    }
}

/// What has become of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub uid: Bytes,
    pub seq: u64,
    pub stored_at: Millis,
    pub expires_at: Millis,
    /// Whether the store still has the payload, so that devices may get it.
    pub is_waiting: bool,
    /// The devices to which the message was written, in the order in which they came first.
    pub devices: Vec<DeviceReceipt>,
}

/// What has become of a message at one device. What the page of the device says of it is a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceReceipt {
    pub device: Device,
    pub written_at: Option<Millis>,
    pub received_at: Option<Millis>,
    pub read_at: Option<Millis>,
}

/// A uid for which messages wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UidSummary {
    pub uid: Bytes,
    /// The number of messages whose payload the store has.
    pub messages: u64,
    /// The bytes of these payloads.
    pub bytes: u64,
}

/// What waits for a uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UidInbox {
    /// The epoch that pages of this uid are given. It tells the positions of this store and uid from all others.
    pub epoch: u64,
    /// The number of messages whose payload the store has.
    pub messages: u64,
    /// The bytes of these payloads.
    pub bytes: u64,
    /// The devices, in the order in which they came first.
    pub devices: Vec<DeviceInbox>,
}

/// What waits for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInbox {
    pub device: Device,
    /// The last position that the device has acknowledged.
    pub acknowledged: u64,
    /// The last position that was written to the device.
    pub written: u64,
    pub waiting: u64,
    /// The number of messages that were dropped before the device had them, and of which it was not told.
    pub lost: u64,
    /// When the device was here, to within an hour.
    pub seen_at: Millis,
}

/// What a store holds altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub uids: u64,
    /// The number of messages whose payload the store has.
    pub messages: u64,
    /// The bytes of these payloads.
    pub bytes: u64,
    /// The number of notices that wait for PHP.
    pub notices: u64,
    /// The number of notices that were given up since the store was opened.
    pub lost_notices: u64,
}
