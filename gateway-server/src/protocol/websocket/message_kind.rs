//! The two kinds of websocket messages: text and binary.

/// The kind of a websocket message. A text is UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    Text,
    Binary,
}
