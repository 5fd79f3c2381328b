//! The authentication of frames between nodes, with a key derived from the cluster's secret, so that other users of the NATS
//! servers cannot give orders.

use bytes::{Buf as _, BufMut as _, Bytes};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::frame::{HEADER, Header};

/// The version of the frame layout. It stands right behind the authentication code in every version, and the key does not depend
/// on it, so that a node of another release is told from a stranger; its frames are not read further.
const VERSION: u8 = 3;
/// Bytes of the authentication code: the first half of an HMAC-SHA-256.
const MAC: usize = 16;
/// Bytes of a frame that are not its body.
pub(super) const OVERHEAD: usize = MAC + 1 + HEADER;

/// Why a payload is no frame of this cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameRejection {
    #[error("it was not sealed with this cluster's name and secret_key")]
    NotAuthentic,
    #[error(
        "a node of another release is in the cluster (it speaks version {0}, this one {VERSION}): all nodes must be of one release"
    )]
    OtherRelease(u8),
}

pub(super) struct FrameAuthenticator(Hmac<Sha256>);

impl FrameAuthenticator {
    pub(super) fn new(secret: &[u8], cluster: &str) -> Self {
        let mut mac = keyed(secret);
        mac.update(b"gateway cluster v1\0");
        mac.update(cluster.as_bytes());
        Self(keyed(&mac.finalize().into_bytes()))
    }

    /// Derives a key for another purpose.
    pub(super) fn derive_key(&self, purpose: &[u8]) -> [u8; 16] {
        let mut mac = self.0.clone();
        mac.update(purpose);
        first(&mac.finalize().into_bytes())
    }

    /// Appends a frame: the authentication code, the version, the header and the body.
    pub(super) fn append(&self, header: &Header, body: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; MAC]);
        out.put_u8(VERSION);
        header.append(out);
        out.extend_from_slice(body);
        let mut mac = self.0.clone();
        mac.update(&out[start + MAC..]);
        let mac: [u8; MAC] = first(&mac.finalize().into_bytes());
        out[start..start + MAC].copy_from_slice(&mac);
    }

    /// Checks a payload, and gives the header and body of its frame.
    pub(super) fn open(&self, mut payload: Bytes) -> Result<(Header, Bytes), FrameRejection> {
        if payload.len() <= MAC {
            return Err(FrameRejection::NotAuthentic);
        }
        let mut mac = self.0.clone();
        mac.update(&payload[MAC..]);
        mac.verify_truncated_left(&payload[..MAC]).map_err(|_| FrameRejection::NotAuthentic)?;
        if payload[MAC] != VERSION {
            return Err(FrameRejection::OtherRelease(payload[MAC]));
        }
        payload.advance(MAC + 1);
        let header = Header::split_from(&mut payload).ok_or(FrameRejection::NotAuthentic)?;
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
    use super::super::frame::FrameKind;
    use super::*;

    fn header() -> Header {
        Header {
            kind: FrameKind::AskedOrder,
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
    fn only_frames_with_the_right_code_are_opened() {
        let authenticator = FrameAuthenticator::new(b"secret", "c");
        let mut frame = b"before".to_vec();
        authenticator.append(&header(), b"body", &mut frame);
        let frame = frame.split_off(6);
        assert_eq!(frame.len(), OVERHEAD + 4);
        let open = |by: &FrameAuthenticator, bytes: &[u8]| by.open(Bytes::copy_from_slice(bytes));
        assert_eq!(open(&authenticator, &frame), Ok((header(), Bytes::from_static(b"body"))));
        let refused = Err(FrameRejection::NotAuthentic);
        for end in 0..frame.len() {
            assert_eq!(open(&authenticator, &frame[..end]), refused);
        }
        for at in 0..frame.len() {
            let mut other = frame.clone();
            other[at] ^= 1;
            assert_eq!(open(&authenticator, &other), refused, "byte {at}");
        }
        assert_eq!(open(&FrameAuthenticator::new(b"secret", "d"), &frame), refused);
        assert_eq!(open(&FrameAuthenticator::new(b"secrets", "c"), &frame), refused);
    }

    #[test]
    fn another_release_is_told_from_a_stranger() {
        let authenticator = FrameAuthenticator::new(b"secret", "c");
        let mut other = vec![0; MAC];
        other.extend(b"\x01of a release before");
        let mut mac = authenticator.0.clone();
        mac.update(&other[MAC..]);
        other[..MAC].copy_from_slice(&mac.finalize().into_bytes()[..MAC]);
        assert_eq!(authenticator.open(other.into()), Err(FrameRejection::OtherRelease(1)));
    }
}
