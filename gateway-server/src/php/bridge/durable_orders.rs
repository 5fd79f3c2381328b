//! The orders of a connection that take effect on disk. Nothing behind them is acknowledged or answered before they are there.

use gateway_wire::bridge::{Order, Reply};

use super::io::Connection;
use super::producers::ProducerLease;
use crate::service::{Gateway, Kept};

/// The orders that wait for the disk at most, before the next is read.
const MOST: usize = 4096;

/// The durable orders that were handed to the store, with their numbers, and are not known to be on disk.
#[derive(Default)]
pub(super) struct DurableOrders {
    waiting: Vec<(u64, Kept)>,
    /// The connection has brought a call.
    has_begun: bool,
    /// The last durable order of this connection has failed.
    has_just_failed: bool,
}

impl DurableOrders {
    /// Hands an order to the store.
    pub(super) async fn add(
        &mut self,
        gateway: &Gateway,
        order: &Order<'_>,
        seq: u64,
        lease: &ProducerLease,
    ) {
        let kept = gateway.keep(order, Some((lease.producer(), seq))).await;
        self.waiting.push((seq, kept));
    }

    /// Notes the number of a call. With the first one, PHP tells of which failed orders it has heard: it sends none of them again.
    pub(super) fn note_begin(&mut self, seq: u64, lease: &mut ProducerLease) {
        if !std::mem::replace(&mut self.has_begun, true) {
            lease.progress.refused.begin_with(seq);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn are_many(&self) -> bool {
        self.waiting.len() >= MOST
    }

    /// Waits until all are on disk or have failed, and tells PHP of those that failed. It must be called before anything is said that
    /// confirms an order.
    pub(super) async fn settle(&mut self, connection: &mut Connection, lease: &mut ProducerLease) {
        for (seq, kept) in self.waiting.drain(..) {
            match kept.await {
                Ok(()) => self.has_just_failed = false,
                Err(error) => {
                    let message = error.to_string();
                    lease.progress.refused.add(seq, &message, self.has_just_failed);
                    self.has_just_failed = true;
                    connection.reply(&Reply::Error { seq, message });
                }
            }
        }
    }
}
