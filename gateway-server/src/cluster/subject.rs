//! The subjects on which frames are published.

use std::fmt::Write as _;
use std::hash::Hasher as _;
use std::net::SocketAddrV4;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::broker::Broker as _;
use super::nats::Nats;
use crate::shard::NameKind;

/// The nodes that get a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectTarget {
    /// All nodes get the frame.
    All,
    /// The node with this address gets it.
    Node(SocketAddrV4),
    /// The nodes that have a client of the uid or group get the frame.
    Holders(NameKind, Hash),
}

/// The SipHash of the name of a uid or group. Its key is derived from the cluster's secret, so that nobody outside can find names
/// that collide, and NATS does not learn the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hash(u128);

impl Hash {
    pub(super) fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    pub(super) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

pub(super) struct Subjects {
    prefix: String,
    key: [u8; 16],
}

impl Subjects {
    pub(super) fn new(cluster: &str, key: [u8; 16]) -> Self {
        Self { prefix: format!("gateway.{cluster}"), key }
    }

    pub(super) fn hash(&self, name: &[u8]) -> Hash {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(name);
        Hash(hasher.finish128().as_u128())
    }

    /// Gives the hash of a NATS server's id, which is the same on all nodes of the cluster.
    pub(super) fn server(&self, id: &str) -> u64 {
        let Hash(hash) = self.hash(id.as_bytes());
        hash as u64
    }

    pub(super) fn holders(&self, sort: NameKind, name: &[u8]) -> SubjectTarget {
        SubjectTarget::Holders(sort, self.hash(name))
    }

    /// Appends the commands that subscribe to what concerns every node and to what concerns this one.
    pub(super) fn append_own(&self, node: SocketAddrV4, out: &mut Vec<u8>) {
        self.append_subscription(SubjectTarget::All, out);
        self.append_subscription(SubjectTarget::Node(node), out);
    }

    /// Appends the command that subscribes to a subject.
    pub(super) fn append_subscription(&self, to: SubjectTarget, out: &mut Vec<u8>) {
        Nats::subscribe(out, |out| self.append(to, out), |out| append_id(to, out));
    }

    /// Appends the subject as commands to the broker name it.
    pub(super) fn append(&self, to: SubjectTarget, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prefix.as_bytes());
        out.push(b'.');
        append_id(to, out);
    }
}

/// Appends the part that tells a subject from others of the cluster. It also serves as the id of the subscription.
pub(super) fn append_id(to: SubjectTarget, out: &mut Vec<u8>) {
    let mut text = String::with_capacity(40);
    // Writing to a string cannot fail.
    let _ = match to {
        SubjectTarget::All => write!(text, "all"),
        SubjectTarget::Node(node) => write!(text, "node.{:08x}{:04x}", node.ip().to_bits(), node.port()),
        SubjectTarget::Holders(NameKind::Uid, Hash(hash)) => write!(text, "uid.{hash:032x}"),
        SubjectTarget::Holders(NameKind::Group, Hash(hash)) => write!(text, "group.{hash:032x}"),
    };
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_words_that_nats_takes() {
        let subjects = Subjects::new("c", [1; 16]);
        let text = |to: SubjectTarget| {
            let mut out = Vec::new();
            subjects.append(to, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(SubjectTarget::All), "gateway.c.all");
        assert_eq!(
            text(SubjectTarget::Node("10.0.0.1:1238".parse().unwrap())),
            "gateway.c.node.0a00000104d6"
        );
        let uid = text(subjects.holders(NameKind::Uid, b"a b.*>\r\n"));
        assert!(uid.starts_with("gateway.c.uid.") && uid.len() == 14 + 32, "{uid}");
        assert_ne!(subjects.hash(b"a"), subjects.hash(b"b"));
        assert_ne!(subjects.hash(b"a"), Subjects::new("c", [2; 16]).hash(b"a"));
    }
}
