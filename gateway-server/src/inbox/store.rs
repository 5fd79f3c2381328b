//! The trait of a store of inboxes: operations, which change it in batches, and reads.

use bytes::Bytes;

use super::bounds::{LONGEST_TTL, MESSAGE_BYTES, UID_BYTES};
use super::model::{
    Device, Millis, NewMessage, PageRequest, Producer, Receipt, Totals, UidInbox, UidSummary, WaitingPage,
    is_id,
};
use super::notices::Notice;

/// Keeps messages until each device has them.
///
/// A store answers only what it has made durable: what [`Store::apply`] has answered is there after the process or the machine
/// dies, and of a batch that it has not answered or that has failed, there is all or nothing.
pub trait Store: Send {
    /// Does these operations in one transaction, and gives the outcome of each, in their order.
    fn apply(&mut self, now: Millis, operations: &[Operation]) -> Result<Vec<Outcome>, StoreError>;

    /// Gives messages that wait for a device.
    fn waiting(&mut self, now: Millis, page: &PageRequest) -> Result<WaitingPage, StoreError>;

    /// Gives several pages of messages that wait, each as [`Store::waiting`] does. A store that is far away reads them at the same time.
    fn waiting_all(&mut self, now: Millis, pages: &[PageRequest]) -> Vec<Result<WaitingPage, StoreError>> {
        pages.iter().map(|page| self.waiting(now, page)).collect()
    }

    /// Gives what has become of the message with this id, for at most so many of the uids that it was delivered to.
    fn receipt(&mut self, now: Millis, id: &str, uids: usize) -> Result<Vec<Receipt>, StoreError>;

    /// Gives what waits for a uid; `None` for a uid of which the store knows nothing.
    fn inbox_of(&mut self, now: Millis, uid: &[u8]) -> Result<Option<UidInbox>, StoreError>;

    /// Gives uids for which messages wait, in the order of their bytes, behind one: at most so many.
    fn uids(&mut self, after: &[u8], limit: usize) -> Result<Vec<UidSummary>, StoreError>;

    /// Gives the number of the last order of a producer that the store has applied.
    fn progress(&mut self, producer: &Producer) -> Result<Option<u64>, StoreError>;

    /// Gives the oldest notices for PHP: at most so many, and no more once they take so many bytes. One is given whatever it takes.
    fn notices(&mut self, limit: usize, bytes: usize) -> Result<Vec<Notice>, StoreError>;

    /// Says whether [`Operation::TellUndelivered`] has something to do.
    fn has_undelivered(&mut self, now: Millis) -> Result<bool, StoreError>;

    fn totals(&mut self) -> Result<Totals, StoreError>;

    /// Writes something that changes nothing, which shows whether the disk takes it.
    fn probe(&mut self) -> Result<(), StoreError>;

    /// Says whether several servers share the store, so that each of them hears what was stored and forgotten from [`Store::news`],
    /// in one order for all, and not from its own outcomes.
    fn is_shared(&self) -> bool {
        false
    }

    /// Gives what was stored and forgotten since this was asked last, by whichever server: all of it, in the order of positions.
    fn news(&mut self) -> Vec<News> {
        Vec::new()
    }
}

/// What a shared store has to tell each of its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A message is stored at this position.
    Stored { message: Box<NewMessage>, seq: u64 },
    /// Everything of a uid before this position was forgotten; from now on it has this epoch.
    Forgotten { uid: Bytes, epoch: u64, seq: u64 },
    /// The store is another one, or has lost what it had last: nothing that was told of it counts any more.
    Everything,
}

/// A change of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Deliver(NewMessage),
    /// A device has come.
    Arrive {
        uid: Bytes,
        device: Device,
    },
    /// All messages for the device up to this position were written to it.
    Written {
        uid: Bytes,
        device: Device,
        epoch: u64,
        seq: u64,
    },
    /// The device has handled all messages up to this position.
    Acknowledge {
        uid: Bytes,
        device: Device,
        epoch: u64,
        seq: u64,
    },
    /// The page says that its user has read one message.
    Read {
        uid: Bytes,
        device: Device,
        epoch: u64,
        seq: u64,
    },
    /// The device was told of so many messages that were dropped before it had them.
    LostTold {
        uid: Bytes,
        device: Device,
        lost: u64,
    },
    /// Forget everything of a uid.
    Forget {
        uid: Bytes,
    },
    /// Make notices of messages that no device has acknowledged in time: at most so many.
    TellUndelivered {
        at_most: usize,
    },
    /// PHP has the notices up to this number.
    NoticesTold {
        up_to: u64,
    },
    /// Remove what has come to its end: at most so many messages, devices, producers and notices each.
    Expire {
        at_most: usize,
    },
}

/// What has become of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message is stored at this position of its uid; `dropped` older ones made room.
    Stored {
        epoch: u64,
        seq: u64,
        dropped: u64,
    },
    /// The store has had a message with this id at this position, and its time has not ended.
    Known {
        epoch: u64,
        seq: u64,
    },
    /// The store has applied this order of its producer before.
    Repeated,
    Refused(Refusal),
    Arrived(Arrival),
    /// The device has acknowledged up to this position, `news` says whether by this operation.
    Acknowledged {
        seq: u64,
        news: bool,
    },
    /// The operation is done.
    Done,
    /// The operation names another epoch, a device or a message that the store does not have, so nothing has changed.
    Ignored,
    /// So many were removed, or told; `has_more` says whether others wait for that.
    Expired {
        removed: usize,
        has_more: bool,
    },
}

/// What a device that has come is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub epoch: u64,
    /// The last position that the device has acknowledged; it reads what waits from there.
    pub acknowledged: u64,
    /// The number of messages that were dropped before the device had them.
    pub lost: u64,
    /// The position of the newest message of the uid, or of what had it forgotten; 0 if there is none.
    pub tail: u64,
    pub is_new: bool,
}

/// Why a store refuses an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the store is full: its files have reached `store_bytes`")]
    StoreFull,
    #[error("the message has more than 65536 bytes")]
    TooLong,
    #[error("the message is not UTF-8, as pages get it as text: encode it, as by base64_encode")]
    NotText,
    #[error("`ttl` must be from 1 second to 30 days")]
    BadTtl,
    #[error("the uid must have from 1 to {UID_BYTES} bytes")]
    BadUid,
    #[error("`id` must have from 1 to 64 letters, digits, `_` and `-`")]
    BadId,
    #[error("`replace` must have from 1 to 64 letters, digits, `_` and `-`")]
    BadReplace,
    #[error("the name of the device must have from 1 to 64 bytes")]
    BadDevice,
    #[error("the uid has as many devices as it may have, and all of them are signed")]
    TooManyDevices,
}

/// Why a store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the disk of the store is full: {0}")]
    DiskFull(String),
    #[error("the store cannot be written to: {0}")]
    ReadOnly(String),
    #[error("the file of the store is gone: {0}")]
    Gone(String),
    #[error("the files of the store are damaged: {0}")]
    Damaged(String),
    #[error("the store cannot be read or written: {0}")]
    Io(String),
    #[error("the store does not answer, and what it has done is not known: {0}")]
    Unanswered(String),
}

impl NewMessage {
    /// Says whether the message is within the bounds that need no look at the store.
    pub fn check(&self) -> Result<(), Refusal> {
        if !(1..=UID_BYTES).contains(&self.uid.len()) {
            return Err(Refusal::BadUid);
        }
        if !is_id(&self.id) {
            return Err(Refusal::BadId);
        }
        if self.replace.as_ref().is_some_and(|key| !is_id(key)) {
            return Err(Refusal::BadReplace);
        }
        if self.payload.len() > MESSAGE_BYTES {
            return Err(Refusal::TooLong);
        }
        if std::str::from_utf8(&self.payload).is_err() {
            return Err(Refusal::NotText);
        }
        if !(1..=LONGEST_TTL).contains(&self.ttl) {
            return Err(Refusal::BadTtl);
        }
        Ok(())
    }
}

/// Says whether a uid and a device are within their bounds.
pub fn check_device(uid: &[u8], device: &Device) -> Result<(), Refusal> {
    match (1..=UID_BYTES).contains(&uid.len()) {
        false => Err(Refusal::BadUid),
        true if !device.is_valid() => Err(Refusal::BadDevice),
        true => Ok(()),
    }
}
