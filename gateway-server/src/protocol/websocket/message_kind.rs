//! The two kinds of websocket messages: text and binary.

use serde::Deserialize;

/// The kind of a websocket message. A text is UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    Text,
    Binary,
}

impl MessageKind {
    pub fn of_text(is_text: bool) -> Self {
        if is_text { Self::Text } else { Self::Binary }
    }
}
