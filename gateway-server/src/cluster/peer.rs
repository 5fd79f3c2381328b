//! A peer: the state of another node, and which of its orders have arrived.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::frame::Header;
use super::heartbeat::Heartbeat;
use super::reassembly::Reassembly;
use super::resend::{ResendLimiter, ResendRequest};

/// Time without progress of a resend after which it is requested anew.
pub(super) const RESEND_PATIENCE: Duration = Duration::from_secs(2);

/// A process that takes part in the cluster, as far as this node knows it.
pub(super) struct Peer {
    pub(super) node: SocketAddrV4,
    /// The number of the node's connection to NATS, counted by the node.
    pub(super) epoch: u32,
    /// The serial number of the node's latest frame. A frame with no higher number is a recording that somebody plays.
    pub(super) serial: u64,
    /// The serial number up to which the process before this one has taken the node's frames.
    pub(super) taken_before: u64,
    /// True when the node has shown that it lives, and has been heard ever since.
    pub(super) is_proven: bool,
    /// True when orders of the node may have missed this one, as it may not have known of a subscription.
    pub(super) is_doubtful: bool,
    /// The hash of the id of the NATS server to which the node is connected.
    pub(super) server: u64,
    /// The number up to which all orders of the node have arrived.
    pub(super) acked: u64,
    /// The count in the node's latest heartbeat.
    pub(super) heartbeats: u64,
    /// The time when the node's latest heartbeat arrived.
    pub(super) heard: Instant,
    /// True when the node is a member of the cluster now.
    pub(super) is_member: bool,
    /// True when the node has said that it leaves, or another process has taken its address.
    pub(super) has_left: bool,
    /// Number of the node's clients, by its latest heartbeat.
    pub(super) clients: u64,
    /// The number up to which the node has all orders of this one.
    pub(super) acked_by_it: u64,
    /// The current request that the node send again what may have been missed.
    pub(super) resuming: Option<Resuming>,
    /// The bound on how often this node sends orders again for the peer.
    pub(super) resends: ResendLimiter,
    /// The parts of a long frame of the node that have arrived so far.
    pub(super) reassembly: Reassembly,
}

/// A resend request that is under way.
pub(super) struct Resuming {
    /// The number of the request. Frames that answer an earlier request have gaps.
    pub(super) again: u32,
    /// The time when a frame that answers the request last arrived.
    progress: Instant,
}

/// The place of a frame in the sequence of its sender's frames.
pub(super) enum Sequence {
    /// The frame belongs to a connection that its sender does not have any more, or the process before this one has taken it.
    Late,
    /// The frame has come before, so somebody plays a recording.
    Recorded,
    InOrder,
    /// The frame is the first of a new connection. Frames at the end of the connection before it may be missing.
    NewConnection,
}

impl Peer {
    pub(super) fn new(header: &Header, heartbeat: &Heartbeat, now: Instant) -> Self {
        Self {
            node: heartbeat.node,
            epoch: header.epoch,
            serial: 0,
            taken_before: 0,
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
        if header.epoch < self.epoch || header.serial <= self.taken_before {
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

    /// Makes a request for the orders after those that have arrived. Until it is answered, new orders are ignored, as they are
    /// sent again too.
    pub(super) fn resume(&mut self, requests: &mut u32, now: Instant) -> ResendRequest {
        *requests = requests.checked_add(1).unwrap_or(1);
        self.is_doubtful = false;
        self.resuming = Some(Resuming { again: *requests, progress: now });
        ResendRequest { again: *requests, after: self.acked, within: Duration::MAX }
    }

    /// True when an order has to be carried out: it answers the current request if there is one, and has not come before.
    pub(super) fn takes_order(&mut self, header: &Header, now: Instant) -> bool {
        match &mut self.resuming {
            Some(resuming) if resuming.again == header.again => resuming.progress = now,
            None if header.again == 0 => {}
            // The order will be sent again, or answers an earlier request.
            _ => return false,
        }
        let is_new = header.number > self.acked;
        self.acked = self.acked.max(header.number);
        is_new
    }

    /// Ends the resend if the frame answers the current request.
    pub(super) fn resumed(&mut self, header: &Header) {
        if self.resuming.as_ref().is_some_and(|resuming| resuming.again == header.again) {
            self.acked = self.acked.max(header.number);
            self.resuming = None;
        }
    }

    /// True when a resend is under way and nothing of it has arrived for a while.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        let resuming = self.resuming.as_ref();
        resuming.is_some_and(|resuming| now.duration_since(resuming.progress) > RESEND_PATIENCE)
    }
}
