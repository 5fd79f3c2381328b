//! Another node, and how much of what it has sent has arrived.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::frame::Header;
use super::heartbeat::Heartbeat;
use super::reassembly::Reassembly;
use super::resend::{ResendLimiter, ResendRequest};

/// How long sending again may pause before it is asked for anew.
pub(super) const RESEND_PATIENCE: Duration = Duration::from_secs(2);

/// A process that takes part in the cluster, as far as this node knows it.
pub(super) struct Peer {
    pub(super) node: SocketAddrV4,
    /// Counts its connections to NATS.
    pub(super) epoch: u32,
    /// The serial number of its last frame. A frame with no higher one was recorded by somebody who sends it again.
    pub(super) serial: u64,
    /// It has shown that it lives, and has not been out of sight since.
    pub(super) is_proven: bool,
    /// Orders of it may have gone past this node, as it may not have heard of a subscription.
    pub(super) is_doubtful: bool,
    /// The NATS server to which it is connected.
    pub(super) server: u64,
    /// All its orders up to this number have arrived.
    pub(super) acked: u64,
    /// The count of its last heartbeat.
    pub(super) heartbeats: u64,
    /// When its last heartbeat arrived.
    pub(super) heard: Instant,
    /// It is one of the nodes of which the cluster consists now.
    pub(super) is_member: bool,
    /// It has said that it leaves, or another process has its address.
    pub(super) has_left: bool,
    pub(super) clients: u64,
    /// It has all orders of this node up to this number.
    pub(super) acked_by_it: u64,
    /// The request by which it is to send again what may have been missed.
    pub(super) resuming: Option<Resuming>,
    /// Bounds how often this node sends again for it.
    pub(super) resends: ResendLimiter,
    pub(super) reassembly: Reassembly,
}

pub(super) struct Resuming {
    /// The number of the request. Frames that answer an earlier one have gaps.
    pub(super) again: u32,
    /// When a frame that answers it arrived last.
    progress: Instant,
}

/// How a frame follows on those that came before it from the same process.
pub(super) enum Sequence {
    /// It belongs to a connection that its sender has no more.
    Late,
    /// It came before: somebody has recorded it.
    Recorded,
    InOrder,
    /// It is the first of a new connection: what was sent at the end of the one before may not have come.
    NewConnection,
}

impl Peer {
    pub(super) fn new(header: &Header, heartbeat: &Heartbeat, now: Instant) -> Self {
        Self {
            node: heartbeat.node,
            epoch: header.epoch,
            serial: 0,
            is_proven: false,
            is_doubtful: false,
            server: heartbeat.server,
            acked: 0,
            heartbeats: heartbeat.count.saturating_sub(1),
            heard: now,
            is_member: false,
            has_left: false,
            clients: heartbeat.clients,
            acked_by_it: 0,
            resuming: None,
            resends: ResendLimiter::default(),
            reassembly: Reassembly::default(),
        }
    }

    pub(super) fn follow(&mut self, header: &Header) -> Sequence {
        if header.epoch < self.epoch {
            return Sequence::Late;
        }
        if header.serial <= self.serial {
            return Sequence::Recorded;
        }
        self.serial = header.serial;
        if header.epoch == self.epoch {
            return Sequence::InOrder;
        }
        self.epoch = header.epoch;
        self.heartbeats = 0;
        self.reassembly.reset();
        Sequence::NewConnection
    }

    /// Has it send again what came after the orders that have arrived; until then its new orders are not taken.
    pub(super) fn resume(&mut self, requests: &mut u32, now: Instant) -> ResendRequest {
        *requests = requests.checked_add(1).unwrap_or(1);
        self.is_doubtful = false;
        self.resuming = Some(Resuming { again: *requests, progress: now });
        ResendRequest { again: *requests, after: self.acked, within: Duration::MAX }
    }

    /// Whether an order is the next one to be carried out: it belongs to what is awaited, and has not come before.
    pub(super) fn takes_order(&mut self, header: &Header, now: Instant) -> bool {
        match &mut self.resuming {
            Some(resuming) if resuming.again == header.again => resuming.progress = now,
            None if header.again == 0 => {}
            // It will be sent again, or was sent again.
            _ => return false,
        }
        let is_new = header.number > self.acked;
        self.acked = self.acked.max(header.number);
        is_new
    }

    /// It has sent again all that was asked for by a request.
    pub(super) fn resumed(&mut self, header: &Header) {
        if self.resuming.as_ref().is_some_and(|resuming| resuming.again == header.again) {
            self.acked = self.acked.max(header.number);
            self.resuming = None;
        }
    }

    /// Sending again has been asked for, and nothing has come for a while.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        let resuming = self.resuming.as_ref();
        resuming.is_some_and(|resuming| now.duration_since(resuming.progress) > RESEND_PATIENCE)
    }
}
