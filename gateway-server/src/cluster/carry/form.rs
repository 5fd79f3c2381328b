//! What a process writes for the one that goes on as the same node of the cluster. Times are in milliseconds.

use std::net::SocketAddrV4;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::cluster::frame::{FrameKind, Header};
use crate::cluster::queue::{KeptOrder, QueuePosition};
use crate::cluster::subject::{Hash, SubjectTarget};
use crate::shard::NameKind;
use crate::system::ages::millis;

/// A node's part in the cluster, but for the orders that it keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CarriedCluster {
    /// The time since the first process with this instance has started.
    pub(super) age: u64,
    /// The number of connections to the broker so far.
    pub(super) epoch: u32,
    /// A serial number that no frame has had.
    pub(super) serial: u64,
    /// An id that no question of this node has had.
    pub(super) latest_request: u64,
    /// A number of wanted subscriptions that no probe has had.
    pub(super) subscriptions: u64,
    pub(super) nonce: u64,
    pub(super) resend_requests: u32,
    /// The time since which the others are heard without a break.
    pub(super) listening_for: Option<u64>,
    /// The other processes, by their instances.
    pub(super) peers: Vec<(u64, CarriedPeer)>,
    pub(super) orders: QueuePosition,
}

/// Another process of the cluster, as [`Peer`](crate::cluster::peer::Peer) has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CarriedPeer {
    pub(super) node: SocketAddrV4,
    pub(super) epoch: u32,
    pub(super) serial: u64,
    pub(super) is_proven: bool,
    pub(super) is_doubtful: bool,
    pub(super) server: u64,
    pub(super) acked: u64,
    pub(super) heartbeats: u64,
    /// The time since its last heartbeat.
    pub(super) silent_for: u64,
    pub(super) is_member: bool,
    pub(super) has_left: bool,
    pub(super) clients: u64,
    pub(super) acked_by_it: u64,
    /// A frame of which not all parts have come: the header of the first, and the body so far.
    #[serde(with = "unfinished")]
    pub(super) unfinished: Option<(Header, Vec<u8>)>,
}

/// Orders that are kept for other nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CarriedOrders(Vec<CarriedOrder>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CarriedOrder {
    to: CarriedTarget,
    kind: FrameKind,
    number: u64,
    age: u64,
    body: ByteBuf,
}

/// A [`SubjectTarget`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum CarriedTarget {
    All,
    Node(SocketAddrV4),
    Uid([u8; 16]),
    Group([u8; 16]),
}

impl CarriedOrders {
    pub(super) fn push(&mut self, order: KeptOrder) {
        let KeptOrder { to, kind, number, body, age } = order;
        let to = match to {
            SubjectTarget::All => CarriedTarget::All,
            SubjectTarget::Node(node) => CarriedTarget::Node(node),
            SubjectTarget::Holders(NameKind::Uid, hash) => CarriedTarget::Uid(hash.to_bytes()),
            SubjectTarget::Holders(NameKind::Group, hash) => CarriedTarget::Group(hash.to_bytes()),
        };
        self.0.push(CarriedOrder { to, kind, number, age: millis(age), body: ByteBuf::from(body.to_vec()) });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(super) fn set_ages(&mut self, age: u64) {
        self.0.iter_mut().for_each(|order| order.age = age);
    }

    pub(super) fn into_kept(self) -> impl Iterator<Item = KeptOrder> {
        self.0.into_iter().map(KeptOrder::from)
    }
}

impl From<CarriedOrder> for KeptOrder {
    fn from(order: CarriedOrder) -> Self {
        let to = match order.to {
            CarriedTarget::All => SubjectTarget::All,
            CarriedTarget::Node(node) => SubjectTarget::Node(node),
            CarriedTarget::Uid(hash) => SubjectTarget::Holders(NameKind::Uid, Hash::from_bytes(hash)),
            CarriedTarget::Group(hash) => SubjectTarget::Holders(NameKind::Group, Hash::from_bytes(hash)),
        };
        let body = Bytes::from(order.body.into_vec());
        Self { to, kind: order.kind, number: order.number, body, age: Duration::from_millis(order.age) }
    }
}

/// Writes the parts of a frame as bytes, and not as a list of numbers.
mod unfinished {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use serde_bytes::{ByteBuf, Bytes};

    use crate::cluster::frame::Header;

    pub(super) fn serialize<S: Serializer>(
        parts: &Option<(Header, Vec<u8>)>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        parts.as_ref().map(|(header, body)| (header, Bytes::new(body))).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<(Header, Vec<u8>)>, D::Error> {
        let parts = Option::<(Header, ByteBuf)>::deserialize(deserializer)?;
        Ok(parts.map(|(header, body)| (header, body.into_vec())))
    }
}
