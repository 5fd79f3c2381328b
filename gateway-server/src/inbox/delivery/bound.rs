//! A connection that is bound to a uid, and how far it has come.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::inbox::model::{Device, Millis};

/// The messages that a connection is sent before it acknowledges any.
const WINDOW: usize = 64;
/// The payload bytes that a connection is sent before it acknowledges any, unless one message has more.
const WINDOW_BYTES: usize = 256 << 10;

/// A connection that has come to a uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::inbox) struct Binding {
    pub(in crate::inbox) connection: u32,
    pub(in crate::inbox) uid: Bytes,
    pub(in crate::inbox) device: Device,
    /// Whether the connection is a page's, which acknowledges. From any other, a message is acknowledged once the kernel has taken it.
    pub(in crate::inbox) is_page: bool,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The store has not yet said how far the device has come.
    Arriving,
    /// Another connection of the device reads what waits. This one begins behind the target, once the device has acknowledged up to
    /// it. The target is known when the other connection has been sent all that waited.
    Following { target: Option<u64> },
    /// The connection is sent what waits, in pages. Messages up to this position may have been sent to the device before; without one,
    /// all may.
    Reading { kept_until: Option<u64> },
    /// The connection has been sent everything that there is.
    Live,
}

pub(super) struct Bound {
    pub(super) connection: u32,
    pub(super) device: Device,
    pub(super) is_page: bool,
    pub(super) stage: Stage,
    /// The last position that the connection was sent, or the one behind which it began.
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
    /// What was sent and not acknowledged, if anything was.
    in_flight: Option<Box<InFlight>>,
    /// When the connection last acknowledged something, or was sent something with nothing to acknowledge before.
    progress_at: Millis,
    /// Whether the connection stands in the queue of those that are read for.
    pub(super) is_queued: bool,
    /// Whether the connection has followed another one and was not yet sent all that is new since it came.
    is_joining: bool,
}

/// What was sent and not acknowledged.
#[derive(Default)]
struct InFlight {
    /// The positions, with the bytes of each.
    messages: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Bound {
    pub(super) fn new(connection: u32, device: Device, is_page: bool) -> Self {
        Self {
            connection,
            device,
            is_page,
            stage: Stage::Arriving,
            sent: 0,
            acknowledged: 0,
            in_flight: None,
            progress_at: 0,
            is_queued: false,
            is_joining: false,
        }
    }

    /// Begins anew, as if the connection had just come.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.connection, self.device.clone(), self.is_page);
    }

    /// Begins behind a position.
    pub(super) fn begin(&mut self, position: u64, stage: Stage) {
        (self.sent, self.acknowledged, self.stage) = (position, position, stage);
        self.is_joining &= stage != Stage::Reading { kept_until: None };
    }

    /// Waits until the device has acknowledged what had waited when the connection came.
    pub(super) fn follow(&mut self, target: Option<u64>) {
        (self.stage, self.is_joining) = (Stage::Following { target }, true);
    }

    /// Gives the position behind which the connection still needs everything that is new, if it is joining. One that takes no more for
    /// now is not waited for.
    pub(super) fn joins_behind(&mut self) -> Option<u64> {
        self.is_joining &= self.stage != Stage::Live && self.room().is_some();
        match self.stage {
            Stage::Following { target } if self.is_joining => target,
            Stage::Reading { .. } if self.is_joining => Some(self.sent),
            _ => None,
        }
    }

    /// Gives how many messages and bytes the connection may still be sent; `None` if none.
    pub(super) fn room(&self) -> Option<(usize, usize)> {
        let (messages, bytes) =
            self.in_flight.as_ref().map_or((0, 0), |in_flight| (in_flight.messages.len(), in_flight.bytes));
        let (messages, bytes) = (WINDOW.checked_sub(messages)?, WINDOW_BYTES.checked_sub(bytes)?);
        (messages > 0 && bytes > 0).then_some((messages, bytes))
    }

    /// Says whether the connection was sent everything that there is, and has acknowledged what it was sent.
    pub(super) fn has_acknowledged_all(&self) -> bool {
        self.stage == Stage::Live && self.in_flight.is_none()
    }

    pub(super) fn has_begun(&self) -> bool {
        matches!(self.stage, Stage::Reading { .. } | Stage::Live)
    }

    pub(super) fn sends(&mut self, seq: u64, bytes: usize, now: Millis) {
        if self.in_flight.is_none() {
            self.progress_at = now;
        }
        let in_flight = self.in_flight.get_or_insert_default();
        in_flight.messages.push_back((seq, bytes));
        in_flight.bytes += bytes;
        self.sent = seq;
    }

    /// Takes an acknowledgement. Gives the position up to which the connection has acknowledged, if that is news.
    pub(super) fn acknowledge(&mut self, seq: u64, now: Millis) -> Option<u64> {
        let seq = seq.min(self.sent);
        if seq <= self.acknowledged {
            return None;
        }
        self.acknowledged = seq;
        self.progress_at = now;
        if let Some(in_flight) = &mut self.in_flight {
            while let Some((_, bytes)) = in_flight.messages.front().filter(|(sent, _)| *sent <= seq) {
                in_flight.bytes -= bytes;
                in_flight.messages.pop_front();
            }
        }
        self.in_flight.take_if(|in_flight| in_flight.messages.is_empty());
        Some(seq)
    }

    /// Has the connection pass for one that has acknowledged nothing for long.
    pub(super) fn stall(&mut self) {
        self.progress_at = 0;
    }

    /// Says whether the connection has acknowledged nothing since this time, although something waits for that.
    pub(super) fn is_stalled(&self, since: Millis) -> bool {
        self.in_flight.is_some() && self.progress_at <= since
    }
}
