//! A compressed message that is long, between two shares of a shard's time.

use std::ops::Range;

use super::inflate::InflateStream;
use super::message_kind::MessageKind;

/// A compressed message that has come whole, and waits to be inflated further.
#[derive(Debug)]
pub(super) struct Inflating {
    pub(super) kind: MessageKind,
    compressed: Compressed,
    pub(super) begun: Option<Box<InflateStream>>,
    /// How many bytes of what came out are whole characters, of a text.
    pub(super) checked: usize,
}

#[derive(Debug)]
pub(super) enum Compressed {
    /// The payload of a frame, unmasked, with which the bytes of [`super::PartialFrames`] begin.
    Frame(Range<usize>),
    Fragments(Vec<u8>),
}

impl Inflating {
    pub(super) fn new(kind: MessageKind, compressed: Compressed) -> Self {
        Self { kind, compressed, begun: None, checked: 0 }
    }

    pub(super) fn compressed<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        match &self.compressed {
            Compressed::Frame(payload) => bytes.get(payload.clone()).unwrap_or_default(),
            Compressed::Fragments(payload) => payload,
        }
    }

    /// Bytes that it is ahead of what comes behind it.
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
