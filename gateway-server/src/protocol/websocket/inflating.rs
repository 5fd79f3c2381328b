//! The state of a long compressed message between two shares of a shard's time.

use std::ops::Range;

use super::inflate::InflateStream;
use super::message_kind::MessageKind;
use super::partial_parts::{CompressedParts, InflatingParts};

/// A compressed message that has come whole, and that is inflated further in later turns.
#[derive(Debug)]
pub(super) struct Inflating {
    pub(super) kind: MessageKind,
    compressed: Compressed,
    /// The output so far, or `None` if the message has to be inflated from its beginning.
    pub(super) begun: Option<Box<InflateStream>>,
    /// For a text: how many bytes of the output are known to be whole characters.
    pub(super) checked: usize,
}

/// Where the compressed bytes of the message are.
#[derive(Debug)]
pub(super) enum Compressed {
    /// In the first frame of the bytes of [`super::PartialFrames`], unmasked; this is the range of its payload.
    Frame(Range<usize>),
    /// In a buffer of their own, as the message came in fragments.
    Fragments(Vec<u8>),
}

impl Inflating {
    pub(super) fn new(kind: MessageKind, compressed: Compressed) -> Self {
        Self { kind, compressed, begun: None, checked: 0 }
    }

    pub(super) fn parts(&self) -> InflatingParts {
        let compressed = match &self.compressed {
            Compressed::Frame(payload) => CompressedParts::Frame(payload.clone()),
            Compressed::Fragments(payload) => CompressedParts::Fragments(payload.clone()),
        };
        InflatingParts { is_text: self.kind == MessageKind::Text, compressed }
    }

    /// The number of bytes to which the message was inflated so far.
    pub(super) fn inflated(&self) -> usize {
        self.begun.as_ref().map_or(0, |stream| stream.so_far().len())
    }

    /// Gives a message that begins anew, or `None` if its frame is not within the first `length` bytes.
    pub(super) fn of_parts(parts: InflatingParts, length: usize) -> Option<Self> {
        let compressed = match parts.compressed {
            CompressedParts::Frame(payload) if payload.start <= payload.end && payload.end <= length => {
                Compressed::Frame(payload)
            }
            CompressedParts::Frame(_) => return None,
            CompressedParts::Fragments(payload) => Compressed::Fragments(payload),
        };
        Some(Self::new(MessageKind::of_text(parts.is_text), compressed))
    }

    pub(super) fn compressed<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        match &self.compressed {
            Compressed::Frame(payload) => bytes.get(payload.clone()).unwrap_or_default(),
            Compressed::Fragments(payload) => payload,
        }
    }

    /// The length of the message's frame at the start of the kept bytes; 0 if the message came in fragments.
    pub(super) fn length(&self) -> usize {
        match &self.compressed {
            Compressed::Frame(payload) => payload.end,
            Compressed::Fragments(_) => 0,
        }
    }

    pub(super) fn weight(&self) -> usize {
        let fragments = match &self.compressed {
            Compressed::Frame(_) => 0,
            Compressed::Fragments(payload) => payload.capacity(),
        };
        fragments + self.begun.as_ref().map_or(0, |stream| stream.weight())
    }
}
