//! A client without its connection and without its node, as bytes: what another process needs to go on with it.

use gateway_wire::ClientId;
use gateway_wire::client_protocol::{GapReason, Positions, ResumeSecret};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::versioned::{Form, Malformed};

const FORM: Form = Form::new("the client", 1);

/// Everything of a client that outlives its connection and its node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetachedClient {
    /// What the client is bound to.
    pub names: Names,
    /// The uid that the client's own connect token has named, if it came with one.
    pub(super) subject: Option<ByteBuf>,
    /// The session: a serialized PHP array, or empty.
    pub session: ByteBuf,
    /// The secrets by which the page may come back, the oldest first. They may be those of several nodes.
    pub(super) secrets: Vec<String>,
    /// How many messages the client was sent, has said that it has seen, and has sent itself.
    counts: (u64, u64, u64),
    /// The frames that the client may not have seen, the oldest first, each with the number of its messages.
    pub(super) frames: Vec<(ByteBuf, u32)>,
    /// How many messages and bytes the client is ahead of the rates that its listener allows.
    pub(super) ahead: (f32, f32),
}

/// The uid and groups of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    pub uid: Option<ByteBuf>,
    /// The groups, sorted.
    pub groups: Vec<ByteBuf>,
}

/// Why a client was not given to another node: it cannot be resumed for this reason, or, without one, it is bound to other names than
/// the node knows.
pub(crate) type NotDeparted = Option<GapReason>;

/// A client to which a page may come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumable {
    pub names: Names,
    /// The uid that a connect token beside the page's secret must name.
    pub subject: Option<ByteBuf>,
    /// Whether PHP has closed the client while it was away. Then a page may come back to it at its own node alone.
    pub is_closed: bool,
}

impl DetachedClient {
    pub(super) fn new(
        names: Names,
        subject: Option<&[u8]>,
        session: &[u8],
        secrets: Vec<String>,
        positions: Positions,
        frames: Vec<(ByteBuf, u32)>,
        ahead: (f32, f32),
    ) -> Self {
        let Positions { sent, seen, taken } = positions;
        let (subject, session) = (subject.map(ByteBuf::from), ByteBuf::from(session));
        Self { names, subject, session, secrets, counts: (sent, seen, taken), frames, ahead }
    }

    pub(super) fn positions(&self) -> Positions {
        let (sent, seen, taken) = self.counts;
        Positions { sent, seen, taken }
    }

    /// The client_ids by which the page or workers may know the client, the newest last.
    pub fn known_as(&self) -> impl Iterator<Item = ClientId> {
        self.secrets.iter().filter_map(|secret| Some(secret.parse::<ResumeSecret>().ok()?.client()))
    }

    /// Writes the client.
    pub fn to_bytes(&self) -> Vec<u8> {
        FORM.write(self)
    }

    /// Reads a client that a server of the same version has written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        FORM.read(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client as the first release of version 1 has written it.
    const GOLDEN: &[u8] = include_bytes!("golden/detached_client_1.bin");

    fn client() -> DetachedClient {
        let bytes = |text: &str| ByteBuf::from(text.as_bytes());
        DetachedClient::new(
            Names { uid: Some(bytes("alice")), groups: vec![bytes("room 1"), bytes("room 2")] },
            Some(b"alice's id"),
            b"a:1:{s:1:\"k\";i:7;}",
            vec!["7f00000104d600000007abababababababababababababababab".to_owned()],
            Positions { sent: 1_000_000, seen: 999_996, taken: 77 },
            vec![(bytes("\u{1}one"), 1), (bytes("three joined"), 3)],
            (2.5, 1000.0),
        )
    }

    #[test]
    fn clients_of_every_released_version_are_read() {
        assert_eq!(DetachedClient::from_bytes(GOLDEN).unwrap(), client());
        assert_eq!(client().to_bytes(), GOLDEN);
    }

    #[test]
    fn what_is_no_client_is_an_error_that_says_why() {
        let error = |bytes: &[u8]| DetachedClient::from_bytes(bytes).unwrap_err().to_string();
        assert_eq!(error(&[]), "the client has no bytes");
        assert_eq!(error(&[2, 0x90]), "the client is written in version 2, and this server reads version 1");
        for length in 1..GOLDEN.len() {
            assert!(error(&GOLDEN[..length]).starts_with("the client is not written as version 1"));
        }
    }
}
