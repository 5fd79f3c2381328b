//! What nodes tell each other, as it stands in the messages of NATS: sealed with a key made of the secret, so that nobody
//! else who may use the NATS servers can give orders.

use bytes::{BufMut as _, Bytes};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Nodes of another version stand outside: what they say is not read. The field keeps its place, right behind the
/// authenticator, and the key does not depend on it, so that they can be told from strangers.
const VERSION: u8 = 2;
const MAC: usize = 16;
const HEADER: usize = 1 + 1 + 1 + 8 + 4 + 8 + 8 + 4;
pub(super) const OVERHEAD: usize = MAC + HEADER;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// To be carried out. Numbered, and kept for those that may miss it.
    Order = 1,
    /// The same, and whoever asked waits for how it went.
    AskedOrder = 2,
    Query = 3,
    Answer = 4,
    /// Who comes, and wishes to know who is there.
    Hello = 5,
    /// Who is there.
    Heartbeat = 6,
    Leave = 7,
    /// What has come so far; what came after it is to be sent again.
    Resume = 8,
    /// All that was asked for has been sent again.
    Resumed = 9,
    /// Another node of that address is there already.
    Conflict = 10,
    /// Who the sender is, to one node, whose nonce it repeats: so it lives now, and is no recording.
    Greeting = 11,
    /// Goes the way of the sender's subscriptions, right behind them.
    Probe = 12,
    /// A probe has come.
    Echo = 13,
}

impl Kind {
    /// Whether frames of the kind have numbers of their own.
    pub(super) fn is_numbered(self) -> bool {
        matches!(self, Self::Order | Self::AskedOrder)
    }

    fn from_byte(byte: u8) -> Option<Self> {
        use Kind::*;
        [
            Order, AskedOrder, Query, Answer, Hello, Heartbeat, Leave, Resume, Resumed, Conflict, Greeting,
            Probe, Echo,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// The process that sends it.
    pub(super) instance: u64,
    /// Counts its connections to NATS.
    pub(super) epoch: u32,
    /// Counts all frames of the process, over all its connections. They come in this order, and each is taken once.
    pub(super) serial: u64,
    /// Of this frame, if it is numbered, or of the last one that was.
    pub(super) number: u64,
    /// It is sent to one node that asked for it by this number; 0 if it is sent for the first time.
    pub(super) again: u32,
    /// What follows it belongs to it.
    pub(super) has_more: bool,
    /// Nothing before it belongs to it.
    pub(super) is_first: bool,
}

/// Why a payload is no frame of this cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unopened {
    #[error("it was not sealed with this cluster's name and secret_key")]
    NotSealed,
    #[error(
        "a node of another release is in the cluster (it speaks version {0}, this one {VERSION}): all nodes must be of one release"
    )]
    OtherRelease(u8),
}

const MORE: u8 = 1;
const FIRST: u8 = 2;

pub(super) struct FrameAuthenticator(Hmac<Sha256>);

impl FrameAuthenticator {
    pub(super) fn new(secret: &[u8], cluster: &str) -> Self {
        let mut mac = keyed(secret);
        mac.update(b"gateway cluster v1\0");
        mac.update(cluster.as_bytes());
        Self(keyed(&mac.finalize().into_bytes()))
    }

    /// A key for another use.
    pub(super) fn key(&self, of: &[u8]) -> [u8; 16] {
        let mut mac = self.0.clone();
        mac.update(of);
        first(&mac.finalize().into_bytes())
    }

    pub(super) fn append(&self, header: &Header, body: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; MAC]);
        out.put_u8(VERSION);
        out.put_u8(header.kind as u8);
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        out.put_u8(flag(header.has_more, MORE) | flag(header.is_first, FIRST));
        out.put_u64(header.instance);
        out.put_u32(header.epoch);
        out.put_u64(header.serial);
        out.put_u64(header.number);
        out.put_u32(header.again);
        out.extend_from_slice(body);
        let mut mac = self.0.clone();
        mac.update(&out[start + MAC..]);
        let mac: [u8; MAC] = first(&mac.finalize().into_bytes());
        out[start..start + MAC].copy_from_slice(&mac);
    }

    pub(super) fn open(&self, mut payload: Bytes) -> Result<(Header, Bytes), Unopened> {
        if payload.len() <= MAC {
            return Err(Unopened::NotSealed);
        }
        let mut mac = self.0.clone();
        mac.update(&payload[MAC..]);
        mac.verify_truncated_left(&payload[..MAC]).map_err(|_| Unopened::NotSealed)?;
        if payload[MAC] != VERSION {
            return Err(Unopened::OtherRelease(payload[MAC]));
        }
        if payload.len() < OVERHEAD {
            return Err(Unopened::NotSealed);
        }
        let header = payload.split_to(OVERHEAD);
        let mut fields = &header[MAC + 1..];
        use bytes::Buf as _;
        let kind = Kind::from_byte(fields.get_u8()).ok_or(Unopened::NotSealed)?;
        let flags = fields.get_u8();
        let header = Header {
            kind,
            instance: fields.get_u64(),
            epoch: fields.get_u32(),
            serial: fields.get_u64(),
            number: fields.get_u64(),
            again: fields.get_u32(),
            has_more: flags & MORE != 0,
            is_first: flags & FIRST != 0,
        };
        Ok((header, payload))
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length");
    };
    mac
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut first = [0; N];
    first.copy_from_slice(&bytes[..N]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: Kind::AskedOrder,
            instance: u64::MAX - 1,
            epoch: 7,
            serial: 1 << 41,
            number: 1 << 40,
            again: 5,
            has_more: false,
            is_first: true,
        }
    }

    #[test]
    fn opens_only_what_it_has_sealed() {
        let seal = FrameAuthenticator::new(b"secret", "c");
        let mut sealed = b"before".to_vec();
        seal.append(&header(), b"body", &mut sealed);
        let sealed = sealed.split_off(6);
        let open = |seal: &FrameAuthenticator, bytes: &[u8]| seal.open(Bytes::copy_from_slice(bytes));
        assert_eq!(open(&seal, &sealed), Ok((header(), Bytes::from_static(b"body"))));
        let refused = Err(Unopened::NotSealed);
        for end in 0..sealed.len() {
            assert_eq!(open(&seal, &sealed[..end]), refused);
        }
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert_eq!(open(&seal, &other), refused, "byte {at}");
        }
        assert_eq!(open(&FrameAuthenticator::new(b"secret", "d"), &sealed), refused);
        assert_eq!(open(&FrameAuthenticator::new(b"secrets", "c"), &sealed), refused);
    }

    #[test]
    fn another_release_is_told_from_a_stranger() {
        let seal = FrameAuthenticator::new(b"secret", "c");
        let mut other = vec![0; MAC];
        other.extend(b"\x01of a release before");
        let mut mac = seal.0.clone();
        mac.update(&other[MAC..]);
        other[..MAC].copy_from_slice(&mac.finalize().into_bytes()[..MAC]);
        assert_eq!(seal.open(other.into()), Err(Unopened::OtherRelease(1)));
    }
}
