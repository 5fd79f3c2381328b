//! What a worker of the bridge is told of messages in the inbox, one batch at a time.

use std::sync::Arc;

use gateway_wire::bridge::worker_notices::{ReceiptNotice, UndeliveredNotice, WorkerNotices};

use crate::inbox::notices::{Fact, HeldNotices, Notice, NoticeDesk};

/// The notices of one worker.
pub(super) struct NoticesOfWorker {
    desk: Arc<NoticeDesk>,
    /// The worker has said that it takes notices.
    is_taker: bool,
    /// The batch that is with the process.
    held: Option<HeldNotices>,
}

impl NoticesOfWorker {
    pub(super) fn new(desk: &Arc<NoticeDesk>) -> Self {
        Self { desk: Arc::clone(desk), is_taker: false, held: None }
    }

    /// Goes on with a worker that has come to rest.
    pub(super) fn again(desk: &Arc<NoticeDesk>, at_rest: Option<u64>) -> Self {
        let held = at_rest.filter(|number| *number > 0).map(|number| desk.held_already(number));
        Self { desk: Arc::clone(desk), is_taker: at_rest.is_some(), held }
    }

    /// Says in a worker that comes to rest whether it takes notices, and which batch is with its process.
    pub(super) fn rest(&self) -> Option<u64> {
        self.is_taker.then(|| self.held.as_ref().map_or(0, HeldNotices::up_to))
    }

    /// The worker takes notices from now on.
    pub(super) fn wanted(&mut self) {
        self.is_taker = true;
    }

    /// Whether the worker may be given a batch.
    pub(super) fn has_room(&self) -> bool {
        self.is_taker && self.held.is_none()
    }

    /// Whether no batch is with the process.
    pub(super) fn is_done(&self) -> bool {
        self.held.is_none()
    }

    /// Waits for a batch. It is with the process once [`NoticesOfWorker::hold`] is called.
    pub(super) async fn next(&self) -> HeldNotices {
        self.desk.take().await
    }

    pub(super) fn hold(&mut self, held: HeldNotices) {
        self.held = Some(held);
    }

    /// The process has handled the batch of this number.
    pub(super) fn done(&mut self, number: u64) -> Result<(), String> {
        match self.held.take_if(|held| held.up_to() == number) {
            Some(held) => {
                held.handled();
                Ok(())
            }
            None => {
                Err(format!("a worker says that it has handled the notices {number}, which it does not have"))
            }
        }
    }
}

/// Gives a batch as the worker is told it.
pub(super) fn told(held: &HeldNotices) -> WorkerNotices<'_> {
    let mut told = WorkerNotices { number: held.up_to(), ..WorkerNotices::default() };
    for Notice { uid, id, fact, .. } in held.notices() {
        let (device, at, is_read) = match fact {
            Fact::Received { device, at } => (device, *at, false),
            Fact::Read { device, at } => (device, *at, true),
            Fact::Undelivered { stored_at } => {
                told.undelivered.push(UndeliveredNotice { uid, id, stored: *stored_at });
                continue;
            }
        };
        let (is_signed, device) = (device.is_signed(), device.as_row().1);
        told.receipts.push(ReceiptNotice { uid, id, device, is_signed, is_read, at });
    }
    told
}
