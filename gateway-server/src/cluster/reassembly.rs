//! The reassembly of frames whose bodies are longer than NATS allows and therefore arrive in parts, one after the other.

use bytes::{Bytes, BytesMut};
use gateway_wire::bridge::frame::MAX_REPLY;

use super::frame::Header;

/// The parts of one sender's frame that have arrived so far.
#[derive(Default)]
pub(super) struct Reassembly(Option<Partial>);

struct Partial {
    first: Header,
    body: BytesMut,
}

impl Reassembly {
    /// Drops the parts that have arrived so far.
    pub(super) fn reset(&mut self) {
        self.0 = None;
    }

    /// The parts of a frame that have arrived so far, if there are some: the header of the first, and the body up to here.
    pub(super) fn carry(&self) -> Option<(Header, Vec<u8>)> {
        self.0.as_ref().map(|partial| (partial.first, partial.body.to_vec()))
    }

    /// Goes on behind the parts of [`Reassembly::carry`].
    pub(super) fn behind(parts: Option<(Header, Vec<u8>)>) -> Self {
        Self(parts.map(|(first, body)| Partial { first, body: BytesMut::from(&body[..]) }))
    }

    /// Adds a part, and gives the whole body once the last part has arrived.
    pub(super) fn add(&mut self, header: &Header, body: Bytes) -> Option<Bytes> {
        if header.is_first && !header.has_more {
            return Some(body);
        }
        if header.is_first {
            self.0 = Some(Partial { first: *header, body: BytesMut::from(&body[..]) });
            return None;
        }
        // Parts without their beginning are dropped: the beginning was published before this node subscribed to the subject.
        let partial = self.0.as_mut().filter(|partial| partial.is_continued_by(header))?;
        if partial.body.len() + body.len() > MAX_REPLY {
            self.0 = None;
            return None;
        }
        partial.body.extend_from_slice(&body);
        if header.has_more {
            return None;
        }
        self.0.take().map(|partial| partial.body.freeze())
    }
}

impl Partial {
    fn is_continued_by(&self, header: &Header) -> bool {
        let of = |header: &Header| (header.kind, header.number, header.again);
        of(&self.first) == of(header)
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::FrameKind;
    use super::*;

    #[test]
    fn parts_come_together_only_if_all_come() {
        let mut reassembly = Reassembly::default();
        let mut add = |number, is_first, has_more, body: &'static [u8]| {
            let header = Header {
                kind: FrameKind::Order,
                instance: 1,
                epoch: 1,
                serial: 1,
                number,
                again: 0,
                has_more,
                is_first,
            };
            reassembly.add(&header, Bytes::from_static(body))
        };
        assert_eq!(add(1, false, true, b"b"), None);
        assert_eq!(add(1, false, false, b"c"), None);
        assert_eq!(add(2, true, true, b"a"), None);
        assert_eq!(add(3, true, true, b"d"), None);
        assert_eq!(add(3, false, true, b"e"), None);
        assert_eq!(add(3, false, false, b"f"), Some(Bytes::from_static(b"def")));
        assert_eq!(add(4, true, false, b"g"), Some(Bytes::from_static(b"g")));
    }

    #[test]
    fn no_body_grows_beyond_the_longest_answer() {
        let mut reassembly = Reassembly::default();
        let header = |is_first| Header {
            kind: FrameKind::Answer,
            instance: 1,
            epoch: 1,
            serial: 1,
            number: 0,
            again: 0,
            has_more: true,
            is_first,
        };
        let part = Bytes::from(vec![0; 8 << 20]);
        assert_eq!(reassembly.add(&header(true), part.clone()), None);
        for _ in 0..MAX_REPLY / part.len() {
            assert_eq!(reassembly.add(&header(false), part.clone()), None);
        }
        assert!(reassembly.0.is_none());
    }
}
