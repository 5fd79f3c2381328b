//! PHP's `serialize()` format: it is checked, and merged as `array_replace_recursive()` merges, without a PHP value ever being made of it.
//!
//! Objects stay the bytes that they are. Plain values are read as [`PhpValue`]s and written by a [`Writer`]. The format is that of
//! `ext/standard/var.c` in PHP 8: `N;`, `b:1;`, `i:5;`, `d:0.5;`, `s:3:"abc";`, `a:1:{…}`, objects `O:`, `C:` and `E:`, references `r:`
//! and `R:`. Positions in errors are bytes from the start, counted from 0.

mod json;
mod keep;
mod parse;
mod replace;
mod value;
mod write;
mod writer;

pub use json::{NotJson, to_json};
pub use keep::{Kept, count_tokens, keep, restore};
pub use parse::check_array;
pub use replace::replace_recursive;
pub use value::{PhpValue, is_list};
pub use writer::Writer;

/// Why serialized bytes are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A byte cannot stand where it stands, or a length or number is none.
    #[error("byte {at} cannot stand there")]
    Unexpected {
        /// The position of that byte, or of the start of that number.
        at: usize,
    },
    /// The bytes end before the value does.
    #[error("it ends too early")]
    Truncated,
    /// The value is whole, and more bytes stand behind it.
    #[error("bytes follow its end at {at}")]
    Trailing {
        /// The position of the first of these bytes.
        at: usize,
    },
    /// The value has over [`MAX_DEPTH`] levels.
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// A reference names a value that does not stand before it.
    #[error("a reference at byte {at} leads nowhere")]
    DanglingReference {
        /// The position of the reference.
        at: usize,
    },
    /// A merge would not end, because an array of the changes holds itself by reference.
    #[error("its arrays hold themselves by reference")]
    Loop,
    /// The value is well-formed, and no array.
    #[error("it is not an array")]
    NotAnArray,
    /// The result of a merge would be longer than its limit, or would take more work than such a result can.
    #[error("it would have more than {limit} bytes")]
    TooLong {
        /// Longest result that was allowed, in bytes.
        limit: usize,
    },
    /// The value holds an object or a reference where only plain values are read.
    #[error("it holds something other than null, booleans, integers, strings and arrays of them")]
    NotPlain,
}

/// Levels of nesting that are followed. It bounds the recursion of everything in this module.
pub const MAX_DEPTH: usize = 256;

/// The values of one or more documents. A value names its children by their places in `nodes`.
#[derive(Default)]
struct Arena<'a> {
    nodes: Vec<Node<'a>>,
    /// Whether a PHP reference (`R:`) leads to a node, by the node's place. It ends with the last node for which that is true.
    aliased: Vec<bool>,
}

impl Arena<'_> {
    fn is_aliased(&self, node: NodeId) -> bool {
        self.aliased.get(node).copied().unwrap_or(false)
    }
}

type NodeId = usize;

enum Node<'a> {
    /// A scalar, an enum case or an object with a format of its own (`C:`), as it stands in the document.
    Plain(&'a [u8]),
    Array(Vec<(Key<'a>, NodeId)>),
    Object {
        /// The object's kind and class, such as `O:3:"Foo"`.
        head: &'a [u8],
        /// The properties: each name as it stands in the document, with its value.
        properties: Vec<(&'a [u8], NodeId)>,
    },
    Reference {
        kind: Kind,
        target: NodeId,
    },
}

/// A key of a PHP array. As in PHP, a string that looks like an integer is one, so that `"7"` and `7` are the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    /// An integer.
    Int(i64),
    /// A string: any bytes that do not look like an integer as PHP prints it.
    Str(&'a [u8]),
}

/// The kind of a reference to a value that stands elsewhere in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `r:`, another handle of the same object. It counts as a value in PHP's numbering.
    Handle,
    /// `R:`, a PHP reference. It does not count in PHP's numbering.
    Alias,
}
