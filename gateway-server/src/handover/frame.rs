//! The headers of the frames on a hand-over channel, as bytes.

/// The most descriptors that one frame carries, which is the most that Linux passes in one message.
pub const MAX_DESCRIPTORS: usize = 253;
/// The most bytes of one frame behind its header. A longer message goes in several frames.
pub(super) const MAX_PAYLOAD: usize = 8 << 20;
/// The bytes of a header: its kind, the number of descriptors, and the number of bytes that follow.
pub(super) const HEADER: usize = 6;
/// The byte of the decision, which stands alone. So it is sent as a whole or not at all.
pub(super) const DECISION: u8 = 0xc0;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The last frame of a message, and mostly its only one.
    Last = 1,
    /// A part of a message that goes on in the next frame.
    Part = 2,
    /// The acknowledgement of a frame that carried descriptors.
    Acknowledgement = 3,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) descriptors: usize,
    pub(super) length: usize,
}

/// Why bytes are no header of a frame.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedHeader {
    #[error("frames of kind {0} are not known")]
    Kind(u8),
    #[error("a frame claims {0} bytes, and {MAX_PAYLOAD} are the most")]
    Length(usize),
    #[error("a frame claims {0} descriptors, and {MAX_DESCRIPTORS} are the most")]
    Descriptors(usize),
    #[error("an acknowledgement claims content")]
    Acknowledgement,
}

impl Header {
    /// Writes the header. The caller keeps to the bounds, which [`Header::from_bytes`] holds at the other end.
    pub(super) fn to_bytes(self) -> [u8; HEADER] {
        let [a, b, c, d] = (self.length as u32).to_be_bytes();
        [self.kind as u8, self.descriptors as u8, a, b, c, d]
    }

    pub(super) fn from_bytes(
        [kind, descriptors, length @ ..]: [u8; HEADER],
    ) -> Result<Self, MalformedHeader> {
        let kind = match kind {
            1 => Kind::Last,
            2 => Kind::Part,
            3 => Kind::Acknowledgement,
            other => return Err(MalformedHeader::Kind(other)),
        };
        let (descriptors, length) = (usize::from(descriptors), u32::from_be_bytes(length) as usize);
        if length > MAX_PAYLOAD {
            return Err(MalformedHeader::Length(length));
        }
        if descriptors > MAX_DESCRIPTORS {
            return Err(MalformedHeader::Descriptors(descriptors));
        }
        if kind == Kind::Acknowledgement && (length, descriptors) != (0, 0) {
            return Err(MalformedHeader::Acknowledgement);
        }
        Ok(Self { kind, descriptors, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_are_written() {
        for kind in [Kind::Last, Kind::Part] {
            for (descriptors, length) in [(0, 0), (1, 1), (MAX_DESCRIPTORS, MAX_PAYLOAD), (7, 70_000)] {
                let header = Header { kind, descriptors, length };
                assert_eq!(Header::from_bytes(header.to_bytes()), Ok(header));
            }
        }
        assert_eq!(
            Header { kind: Kind::Last, descriptors: 3, length: 258 }.to_bytes(),
            [1, 3, 0, 0, 1, 2],
            "the form of version 1"
        );
    }

    #[test]
    fn lies_are_refused() {
        let error = |bytes| Header::from_bytes(bytes).unwrap_err().to_string();
        assert_eq!(error([0, 0, 0, 0, 0, 0]), "frames of kind 0 are not known");
        assert_eq!(error([DECISION, 0, 0, 0, 0, 0]), "frames of kind 192 are not known");
        assert_eq!(error([1, 0, 0xff, 0, 0, 0]), "a frame claims 4278190080 bytes, and 8388608 are the most");
        assert_eq!(error([1, 254, 0, 0, 0, 0]), "a frame claims 254 descriptors, and 253 are the most");
        assert_eq!(error([3, 0, 0, 0, 0, 1]), "an acknowledgement claims content");
    }
}
