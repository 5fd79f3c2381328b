//! The unfinished input of a websocket client as plain values, for another process that goes on with it.

use std::ops::Range;

/// The unfinished input of a websocket client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialParts {
    /// The bytes that are not decoded yet.
    pub bytes: Vec<u8>,
    /// The fragments of a message of which the last one is missing.
    pub fragments: Option<FragmentsParts>,
    /// A compressed message that is whole and not inflated yet.
    pub inflating: Option<InflatingParts>,
    /// Whether `bytes` may hold whole frames.
    pub is_behind: bool,
}

/// The fragments of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentsParts {
    pub is_text: bool,
    pub is_deflated: bool,
    pub bytes: Vec<u8>,
}

/// A compressed message. How far it was inflated cannot be moved, so it is inflated from its beginning again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InflatingParts {
    pub is_text: bool,
    pub compressed: CompressedParts,
}

/// Where the compressed bytes of a message are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompressedParts {
    /// In a range of [`PartialParts::bytes`].
    Frame(Range<usize>),
    Fragments(Vec<u8>),
}
