//! PHP's `serialize()` format: checked, and merged as `array_replace_recursive()` merges, without ever making a PHP
//! value of it. Objects stay the bytes that they are. Plain values are read as [`PhpValue`]s and written by a [`Writer`].

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

/// What is wrong with serialized bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("byte {at} cannot stand there")]
    Unexpected { at: usize },
    #[error("it ends too early")]
    Truncated,
    #[error("bytes follow its end at {at}")]
    Trailing { at: usize },
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    #[error("a reference at byte {at} leads nowhere")]
    DanglingReference { at: usize },
    #[error("its arrays hold themselves by reference")]
    Loop,
    #[error("it is not an array")]
    NotAnArray,
    #[error("it would have more than {limit} bytes")]
    TooLong { limit: usize },
    #[error("it holds something other than null, booleans, integers, strings and arrays of them")]
    NotPlain,
}

/// Nesting that is followed.
pub const MAX_DEPTH: usize = 256;

/// The values of one or more documents; children are named by their place in it.
#[derive(Default)]
struct Arena<'a> {
    nodes: Vec<Node<'a>>,
    /// Whether a PHP reference (`R:`) leads to a node, up to the last to which one does.
    aliased: Vec<bool>,
}

impl Arena<'_> {
    fn is_aliased(&self, node: NodeId) -> bool {
        self.aliased.get(node).copied().unwrap_or(false)
    }
}

type NodeId = usize;

enum Node<'a> {
    /// A scalar, an enum case or a custom-serialized object, as it stands.
    Plain(&'a [u8]),
    Array(Vec<(Key<'a>, NodeId)>),
    Object {
        /// `O:3:"Foo"`
        head: &'a [u8],
        /// Names as they stand.
        properties: Vec<(&'a [u8], NodeId)>,
    },
    Reference {
        kind: Kind,
        target: NodeId,
    },
}

/// PHP makes an integer of every string key that looks like one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    Int(i64),
    Str(&'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `r:`, another handle of the same object. Counts as a value of its own.
    Handle,
    /// `R:`, a PHP reference. Does not count.
    Alias,
}
