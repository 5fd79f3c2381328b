//! The server's first message on every connection.

use serde::{Deserialize, Serialize};

/// The init message, which is text and not counted. As JSON it has `"type":"init"` first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "init")]
pub struct Init {
    /// The client's id, 20 hexadecimal digits.
    pub client_id: String,
    /// The proof by which PHP tells whose client_id it is.
    pub proof: String,
    /// The secret with which the page may come back, or absent where nobody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// Number of the page's messages that the server has taken since the client's life began.
    pub seen: u64,
    /// True when the client is the one that the page asked for.
    pub resumed: bool,
    /// Number of messages that follow because the page missed them.
    pub missed: u64,
    /// Why the client that the page asked for could not be resumed. It is there only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<GapReason>,
}

/// Why a client could not be resumed, so that the page may have missed messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// The page stayed away for longer than clients are parked.
    Expired,
    /// More messages came for the client than are kept, or others needed the memory.
    Overflow,
    /// The server was started again.
    Restarted,
    /// The application has closed the client, and the page has been told already.
    Closed,
    /// The page has come with a connect token of somebody else.
    Identity,
    /// The application has sent bytes as they are, which cannot be counted.
    Raw,
    /// The client is at another node, from which it cannot be moved.
    Moved,
    /// The secret is nobody's, or the page claims to have seen what was never sent.
    Unknown,
}

impl GapReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Expired,
        Self::Overflow,
        Self::Restarted,
        Self::Closed,
        Self::Identity,
        Self::Raw,
        Self::Moved,
        Self::Unknown,
    ];

    /// The word that an init has for the reason.
    pub fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Overflow => "overflow",
            Self::Restarted => "restarted",
            Self::Closed => "closed",
            Self::Identity => "identity",
            Self::Raw => "raw",
            Self::Moved => "moved",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_json_that_the_document_shows() {
        let new = Init {
            client_id: "7f00000104d600000007".to_owned(),
            proof: "p".to_owned(),
            resume: Some("s".to_owned()),
            seen: 0,
            resumed: false,
            missed: 0,
            reason: Some(GapReason::Expired),
        };
        let json = r#"{"type":"init","client_id":"7f00000104d600000007","proof":"p","resume":"s","seen":0,"resumed":false,"missed":0,"reason":"expired"}"#;
        assert_eq!(serde_json::to_string(&new).unwrap(), json);
        assert_eq!(serde_json::from_str::<Init>(json).unwrap(), new);
        for (number, reason) in GapReason::ALL.into_iter().enumerate() {
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{}\"", reason.word()));
            assert_eq!(reason as usize, number);
        }
        let plain = Init { resume: None, reason: None, ..new };
        let json = serde_json::to_string(&plain).unwrap();
        assert!(!json.contains("resume\":\"") && !json.contains("reason"), "{json}");
        assert_eq!(serde_json::from_str::<Init>(&json).unwrap(), plain);
    }
}
