//! The heartbeats by which nodes introduce themselves and confirm what they have received.

use std::net::SocketAddrV4;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Time without a heartbeat after which a node counts as gone.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

/// How often a node says that it is there.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);

/// The body of a heartbeat and of a `Hello`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Heartbeat {
    pub(super) node: SocketAddrV4,
    /// Counts the heartbeats of a connection, from 1.
    pub(super) count: u64,
    /// The instances that the node hears, each with the number up to which all its orders have arrived.
    pub(super) acked: Vec<(u64, u64)>,
    /// How many clients are connected to the node.
    pub(super) clients: u64,
    /// A number that is drawn anew for each connection. A greeting repeats it, and so was made after it was drawn.
    pub(super) nonce: u64,
    /// The hash of the id of the NATS server to which the node is connected.
    pub(super) server: u64,
}

impl Default for Heartbeat {
    fn default() -> Self {
        let node = SocketAddrV4::new(std::net::Ipv4Addr::UNSPECIFIED, 0);
        Self { node, count: 0, acked: Vec::new(), clients: 0, nonce: 0, server: 0 }
    }
}

/// A heartbeat for one node, which shows that its sender lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Greeting {
    pub(super) heartbeat: Heartbeat,
    /// The instance that is greeted, and the nonce that it said last.
    pub(super) to: u64,
    pub(super) nonce: u64,
    /// The greeted node has not shown the sender yet that it lives, and is to do so.
    pub(super) wants_answer: bool,
}

/// The part of a greeting that proves to the greeted node that its sender lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof {
    pub(super) nonce: u64,
    pub(super) wants_answer: bool,
}
